#include "par/par.h"

#ifdef _OPENMP
#include <omp.h>
#include <stdatomic.h>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define HAVE_FORK 1
#endif
#ifdef __linux__
#include <stdio.h>
#include <string.h>
#endif

static atomic_int in_child;

#ifdef HAVE_FORK
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void after_fork(void)
{
    atomic_store(&in_child, 1);
}

/* Whether this process was forked before anybody watched, and runs no program
 * of its own since: the kernel's flag PF_FORKNOEXEC. */
static int was_forked(void)
{
    unsigned flags = 0;
#ifdef __linux__
    char line[1024];
    FILE *stat = fopen("/proc/self/stat", "r");
    if (stat != NULL) {
        line[fread(line, 1, sizeof line - 1, stat)] = 0;
        fclose(stat);
        /* The second field is a name in brackets, which may hold anything. */
        const char *rest = strrchr(line, ')');
        if (rest == NULL || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1) {
            flags = 0;
        }
    }
#endif
    return (flags & 0x40) != 0;
}

static void watch(void)
{
    pthread_atfork(NULL, NULL, after_fork);
    if (was_forked()) {
        after_fork();
    }
}

/* In a forked child each call makes threads of its own: the parent's OpenMP
 * threads are not there, and the runtime would wait for them for ever. */
enum { CHILD_THREADS_MAX = 64 };

struct share {
    int64_t nblocks;
    lwfc_block_fn *fn;
    void *context;
    atomic_llong next;
};

struct worker {
    struct share *share;
    int number;
    pthread_t thread;
};

static void *work(void *argument)
{
    const struct worker *worker = argument;
    struct share *share = worker->share;
    for (long long i; (i = atomic_fetch_add(&share->next, 1)) < share->nblocks;) {
        share->fn(share->context, i, worker->number);
    }
    return NULL;
}

static void run_in_child(int64_t nblocks, int width, lwfc_block_fn *fn, void *context)
{
    struct share share = {nblocks, fn, context, 0};
    struct worker workers[CHILD_THREADS_MAX];
    const int most = width < CHILD_THREADS_MAX ? width : CHILD_THREADS_MAX;
    int count = 1; /* the calling thread is number 0, so the work is done in any case */
    workers[0] = (struct worker){.share = &share};
    for (; count < most; count++) {
        workers[count] = (struct worker){.share = &share, .number = count};
        if (pthread_create(&workers[count].thread, NULL, work, &workers[count]) != 0) {
            break;
        }
    }
    work(&workers[0]);
    for (int i = 1; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
    }
}
#endif

void lwfc_parallel_watch(void)
{
#ifdef HAVE_FORK
    pthread_once(&watch_once, watch);
#endif
}

int lwfc_parallel_available(void)
{
    return 1;
}

int lwfc_parallel_width(int64_t nblocks, int64_t values, int num_threads)
{
    lwfc_parallel_watch();
    const int64_t grains = values / LWFC_PARALLEL_GRAIN;
    const int64_t most = nblocks < grains ? nblocks : grains;
    if (most <= 1 || omp_in_parallel()) {
        return 1;
    }
    const int wanted = num_threads > 0 ? num_threads : omp_get_max_threads();
    return wanted < most ? wanted : (int)most;
}

void lwfc_parallel_for(int64_t nblocks, int width, lwfc_block_fn *fn, void *context)
{
    if (width <= 1) {
        for (int64_t i = 0; i < nblocks; i++) {
            fn(context, i, 0);
        }
        return;
    }
#ifdef HAVE_FORK
    if (atomic_load(&in_child)) {
        run_in_child(nblocks, width, fn, context);
        return;
    }
#endif
#pragma omp parallel for schedule(dynamic, 1) num_threads(width)
    for (int64_t i = 0; i < nblocks; i++) {
        fn(context, i, omp_get_thread_num());
    }
}

#else

void lwfc_parallel_watch(void) {}

int lwfc_parallel_available(void)
{
    return 0;
}

int lwfc_parallel_width(int64_t nblocks, int64_t values, int num_threads)
{
    (void)nblocks;
    (void)values;
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
