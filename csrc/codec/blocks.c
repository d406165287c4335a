#include "codec/blocks.h"

#include "base/memory.h"
#include "par/par.h"

struct job {
    lwfc_block_work *work;
    void *context;
    struct lwfc_scratch *scratch; /* one for each worker */
    enum lwfc_status *statuses;   /* each block's */
};

static void run_block(void *context, int64_t block, int worker)
{
    const struct job *job = context;
    job->statuses[block] = job->work(job->context, block, &job->scratch[worker]);
}

enum lwfc_status lwfc_blocks_run(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                                 lwfc_block_work *work, void *context)
{
    const struct lwfc_scratch_sizes sizes =
        lwfc_scratch_sizes_for(codec, plan->tables.levels, &plan->view.geometry);
    return lwfc_blocks_run_sized(&sizes, plan, work, context);
}

enum lwfc_status lwfc_blocks_run_sized(const struct lwfc_scratch_sizes *sizes,
                                       const struct lwfc_plan *plan, lwfc_block_work *work,
                                       void *context)
{
    const int64_t nblocks = plan->view.geometry.nblocks;
    struct job job = {work, context, lwfc_scratch_make(plan->width, sizes),
                      lwfc_alloc(lwfc_size_mul((size_t)nblocks, sizeof *job.statuses))};
    enum lwfc_status status = LWFC_ERROR_MEMORY;
    if (job.scratch != NULL && job.statuses != NULL) {
        lwfc_parallel_for(nblocks, plan->width, run_block, &job);
        status = LWFC_OK;
        for (int64_t i = 0; i < nblocks && status == LWFC_OK; i++) {
            status = job.statuses[i];
        }
    }
    lwfc_scratch_release(job.scratch);
    lwfc_free(job.statuses);
    return status;
}
