/* The chooser: round trips of both coders, the smaller one taken, damage. */
#include "base/memory.h"
#include "entropy/joined.h"
#include "entropy/planes.h"
#include "entropy/rans.h"
#include "random_u32.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(const struct lwfc_block *b, int levels, int clustered)
{
    const size_t n = lwfc_block_size(b);
    const size_t bound = lwfc_rans_bound(b, levels);
    uint8_t *s = lwfc_alloc(n);
    uint8_t *back = lwfc_alloc(n);
    uint8_t *out = lwfc_alloc(bound);
    uint8_t *other = lwfc_alloc(bound);
    void *work = lwfc_alloc(lwfc_rans_workspace(b, levels));
    assert(s && back && out && other && work);
    for (size_t i = 0; i < n; i++) {
        const uint32_t r = random_u32();
        const uint32_t fresh = r % 4 ? r >> 8 & 1 : r >> 8;
        s[i] = (uint8_t)(fresh % (uint32_t)levels);
        if (clustered && i >= (size_t)b->width && (r >> 20) % 10) {
            s[i] = r >> 31 ? s[i - 1] : s[i - (size_t)b->width];
        }
    }
    const size_t size = lwfc_rans_encode(s, b, levels, out, bound, work);
    assert(size > 1 && size <= bound);
    const size_t joined = lwfc_joined_encode(s, b, levels, other, bound, work);
    assert(size <= 1 + joined + joined / 32 + 16);
    if (levels <= 16) {
        const size_t planes = lwfc_planes_encode(s, b, levels, other, bound, work);
        assert(size <= 1 + planes + planes / 32 + 16);
    }
    for (int t = 0; t < 40; t++) {
        const size_t cut = t == 0 ? size : t < 20 ? size : 1 + random_u32() % size;
        uint8_t *in = malloc(cut);
        memcpy(in, out, cut);
        if (t > 0) {
            in[random_u32() % (t & 1 ? cut : cut < 150 ? cut : 150)] ^=
                (uint8_t)(1 + random_u32() % 255);
        }
        memset(back, 0, n);
        const int status = lwfc_rans_decode(in, cut, b, levels, back, work);
        if (t == 0) {
            assert(status == 0 && memcmp(s, back, n) == 0);
        } else if (status == 0) {
            for (size_t i = 0; i < n; i++) {
                assert(back[i] < levels);
            }
        }
        free(in);
    }
    assert(lwfc_rans_decode(out, 0, b, levels, back, work) == -1);
    lwfc_free(s);
    lwfc_free(back);
    lwfc_free(out);
    lwfc_free(other);
    lwfc_free(work);
}

int main(void)
{
    seed = 7;
    static const struct lwfc_block shapes[] = {{1, 1, 1, 1},   {1, 1, 1, 4097}, {1, 40, 14, 14},
                                               {3, 31, 7, 7},  {1, 64, 1, 50},  {1, 240, 28, 28},
                                               {1, 3, 64, 64}, {1, 17, 30, 30}};
    static const int levels[] = {2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 100, 256};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (size_t j = 0; j < sizeof levels / sizeof levels[0]; j++) {
            check(&shapes[i], levels[j], 0);
            check(&shapes[i], levels[j], 1);
        }
    }
    puts("rans ok");
    return 0;
}
