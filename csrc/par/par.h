/* Runs independent blocks on several threads. The only file with OpenMP. */
#ifndef LWFC_PAR_PAR_H
#define LWFC_PAR_PAR_H

#include <stdint.h>

/* Does one block's work. `worker` is below the width asked for and belongs to
 * one thread at a time, so it may index scratch memory. */
typedef void lwfc_block_fn(void *context, int64_t block, int worker);

/* Calls fn once for each block 0..nblocks-1, on `width` threads (a result of
 * lwfc_parallel_width). Blocks are handed out one at a time, in no fixed
 * order, so fn must write only to places owned by its block or worker. */
void lwfc_parallel_for(int64_t nblocks, int width, lwfc_block_fn *fn, void *context);

/* Values a thread must have to be worth starting: tens of microseconds of work at the least. A
 * team waits for its last thread to be scheduled, which takes far longer where cores are busy. */
enum { LWFC_PARALLEL_GRAIN = 1 << 15 };

/* How many threads to use for nblocks blocks of `values` in all when the caller
 * asked for `num_threads` (0: as many as OMP_NUM_THREADS or the machine gives).
 * It is 1 inside a parallel region. */
int lwfc_parallel_width(int64_t nblocks, int64_t values, int num_threads);

/* From here on a fork is noticed, and threads of our own are used in the child:
 * an OpenMP runtime does not survive fork. A binding calls it when it is loaded,
 * since the runtime may have been used by others before our first call. */
void lwfc_parallel_watch(void);

/* 1 if this build has OpenMP. */
int lwfc_parallel_available(void);

#endif
