/* A driver for fuzz targets where there is no libFuzzer: mutates seed files
 * for a while. mutate SECONDS FILE... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

enum { MAX_NBYTES = 4096 };

static uint64_t state = 0x9E3779B97F4A7C15u;

static uint32_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static size_t mutate(uint8_t *data, size_t nbytes)
{
    for (uint32_t edits = 1 + next_random() % 6; edits > 0 && nbytes > 0; edits--) {
        const size_t at = next_random() % nbytes;
        switch (next_random() % 4) {
        case 0:
            data[at] ^= (uint8_t)(1u << next_random() % 8);
            break;
        case 1:
            data[at] = (uint8_t)next_random();
            break;
        case 2:
            nbytes = at;
            break;
        default:
            if (nbytes < MAX_NBYTES) {
                memmove(data + at + 1, data + at, nbytes - at);
                data[at] = (uint8_t)next_random();
                nbytes++;
            }
        }
    }
    return nbytes;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    uint8_t seed[MAX_NBYTES];
    unsigned long runs = 0;
    const clock_t start = clock();
    do {
        size_t nbytes = 0;
        if (argc > 2) {
            FILE *file = fopen(argv[2 + next_random() % (uint32_t)(argc - 2)], "rb");
            if (file == NULL) {
                return 1;
            }
            nbytes = fread(seed, 1, sizeof seed, file);
            fclose(file);
        }
        for (int i = 0; i < 200; i++, runs++) {
            uint8_t *data = malloc(MAX_NBYTES + 1);
            memcpy(data, seed, nbytes);
            const size_t n = mutate(data, nbytes);
            uint8_t *exact = malloc(n); /* so that ASan sees the very end */
            memcpy(exact, data, n);
            LLVMFuzzerTestOneInput(exact, n);
            free(exact);
            free(data);
        }
    } while ((double)(clock() - start) / CLOCKS_PER_SEC < seconds);
    printf("%lu executions\n", runs);
    return 0;
}
