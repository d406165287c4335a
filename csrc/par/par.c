#include "par/par.h"

#ifdef _OPENMP
#include <omp.h>
#include <stdatomic.h>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define HAVE_FORK 1
#endif

static atomic_int in_child;

#ifdef HAVE_FORK
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void after_fork(void)
{
    atomic_store(&in_child, 1);
}

static void watch(void)
{
    pthread_atfork(NULL, NULL, after_fork);
}
#endif

int lwfc_parallel_available(void)
{
    return 1;
}

int lwfc_parallel_width(int64_t nblocks, int num_threads)
{
#ifdef HAVE_FORK
    pthread_once(&watch_once, watch);
#endif
    if (atomic_load(&in_child) || omp_in_parallel()) {
        return 1;
    }
    const int wanted = num_threads > 0 ? num_threads : omp_get_max_threads();
    return wanted < nblocks ? wanted : (nblocks > 0 ? (int)nblocks : 1);
}

void lwfc_parallel_for(int64_t nblocks, int width, lwfc_block_fn *fn, void *context)
{
    if (width <= 1) {
        for (int64_t i = 0; i < nblocks; i++) {
            fn(context, i, 0);
        }
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(width)
    for (int64_t i = 0; i < nblocks; i++) {
        fn(context, i, omp_get_thread_num());
    }
}

#else

int lwfc_parallel_available(void)
{
    return 0;
}

int lwfc_parallel_width(int64_t nblocks, int num_threads)
{
    (void)nblocks;
    (void)num_threads;
    return 1;
}

void lwfc_parallel_for(int64_t nblocks, int width, lwfc_block_fn *fn, void *context)
{
    (void)width;
    for (int64_t i = 0; i < nblocks; i++) {
        fn(context, i, 0);
    }
}

#endif
