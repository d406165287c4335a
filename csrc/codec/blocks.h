/* Runs one piece of work over every block of a plan: threads, their scratch
 * memory, and which failure is reported. */
#ifndef LWFC_CODEC_BLOCKS_H
#define LWFC_CODEC_BLOCKS_H

#include "codec/scratch.h"

/* One block's work; writes only to places owned by its block, and to the
 * scratch of the worker it runs on. */
typedef enum lwfc_status lwfc_block_work(void *context, int64_t block,
                                         struct lwfc_scratch *scratch);

/* Does all blocks of `plan`, whose tables are set, with scratch sized for
 * `codec` (may be NULL). Returns the failure of the first block that has one. */
enum lwfc_status lwfc_blocks_run(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                                 lwfc_block_work *work, void *context);

/* The same with scratch of other sizes. */
enum lwfc_status lwfc_blocks_run_sized(const struct lwfc_scratch_sizes *sizes,
                                       const struct lwfc_plan *plan, lwfc_block_work *work,
                                       void *context);

#endif
