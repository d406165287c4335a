/* Runs independent blocks on several threads. The only file with OpenMP. */
#ifndef LWFC_PAR_PAR_H
#define LWFC_PAR_PAR_H

#include <stdint.h>

/* Calls fn(context, block) once for each block 0..nblocks-1, on at most
 * `num_threads` threads (0: as many as OMP_NUM_THREADS or the machine gives).
 * Blocks are handed out one at a time, in no fixed order, so fn must write
 * only to places owned by its block. In a child after fork it runs serially:
 * an OpenMP runtime does not survive fork. */
void lwfc_parallel_for(int64_t nblocks, int num_threads, void (*fn)(void *context, int64_t block),
                       void *context);

/* How many threads lwfc_parallel_for would use for `num_threads`. */
int lwfc_parallel_width(int num_threads);

/* 1 if this build has OpenMP. */
int lwfc_parallel_available(void);

#endif
