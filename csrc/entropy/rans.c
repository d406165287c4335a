#include "entropy/rans.h"

#include "entropy/joined.h"
#include "entropy/planes.h"

enum { PLANES = 0, JOINED = 1, PLANES_LEVELS = 16 };

size_t lwfc_rans_bound(const struct lwfc_block *block, int levels)
{
    const size_t joined = lwfc_joined_bound(block, levels);
    const size_t planes = levels <= PLANES_LEVELS ? lwfc_planes_bound(block, levels) : 0;
    return 1 + (joined > planes ? joined : planes);
}

/* The plane coder's part of the workspace, in whole cache lines. */
static size_t planes_part(const struct lwfc_block *block, int levels)
{
    return levels <= PLANES_LEVELS ? (lwfc_planes_workspace(block, levels) + 127) / 64 * 64 : 0;
}

size_t lwfc_rans_workspace(const struct lwfc_block *block, int levels)
{
    return planes_part(block, levels) + lwfc_joined_workspace(block, levels);
}

size_t lwfc_rans_estimate(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          void *workspace)
{
    void *const joined_work = (uint8_t *)workspace + planes_part(block, levels);
    const size_t joined = lwfc_joined_estimate(symbols, block, levels, joined_work);
    if (levels > PLANES_LEVELS) {
        return joined;
    }
    const size_t planes = lwfc_planes_prepare(symbols, block, levels, workspace);
    return planes < joined ? planes : joined;
}

size_t lwfc_rans_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                        uint8_t *out, size_t capacity, void *workspace)
{
    if (levels < 2 || levels > 256 || capacity < 2) {
        return 0;
    }
    void *const joined_work = (uint8_t *)workspace + planes_part(block, levels);
    int coder = JOINED;
    if (levels <= PLANES_LEVELS) {
        const size_t planes = lwfc_planes_prepare(symbols, block, levels, workspace);
        /* The joined coder is faster: the planes must pay. */
        if (planes + planes / 64 <= lwfc_joined_estimate(symbols, block, levels, joined_work)) {
            coder = PLANES;
        }
    }
    out[0] = (uint8_t)coder;
    const size_t nbytes =
        coder == PLANES
            ? lwfc_planes_finish(symbols, block, levels, out + 1, capacity - 1, workspace)
            : lwfc_joined_encode(symbols, block, levels, out + 1, capacity - 1, joined_work);
    return nbytes ? nbytes + 1 : 0;
}

int lwfc_rans_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                     uint8_t *symbols, void *workspace)
{
    if (levels < 2 || levels > 256 || nbytes < 2) {
        return -1;
    }
    if (in[0] == PLANES && levels <= PLANES_LEVELS) {
        return lwfc_planes_decode(in + 1, nbytes - 1, block, levels, symbols, workspace);
    }
    if (in[0] == JOINED) {
        return lwfc_joined_decode(in + 1, nbytes - 1, block, levels, symbols,
                                  (uint8_t *)workspace + planes_part(block, levels));
    }
    return -1;
}
