/* The packed form of a section: its bytes sorted into planes of one kind, means as what a
 * prediction leaves, each plane coded as joined symbols. */
#include "base/bytes.h"
#include "base/memory.h"
#include "entropy/joined.h"
#include "transform/section.h"

#include <string.h>

enum {
    SECTION_MAX = 1 << 30,
    EXPANSION = 256, /* a section has at most so many bytes for one of its packed form's, .. */
    EXPANSION_FREE = 1 << 20, /* .. and these */
    VALUES = 256,
    PLANES_NBYTES = 6 * 16, /* at most, beside their symbols */
    PREFIX_MAX = LWFC_SECTION_HEAD + 4 * LWFC_SECTION_FREQUENCIES
};

/* A plane is byte `byte` of every number of a part. */
enum part { BEGIN, SHIFT, EXPONENTS, MANTISSAS, SCALES, ANALYSIS, MEAN, OF_COLUMNS, SILENT, PARTS };

static const uint8_t part_width[PARTS] = {2, 1, 1, 1, 4, 1, 2, 1, 2};

struct layout {
    struct lwfc_transform t;
    struct lwfc_section_sizes sizes;
    size_t begin, tables; /* bytes of these parts */
    size_t matrices, mean, of_columns, silent, end; /* where they lie */
};

/* Fills everything but `tables` and what lies behind them. */
static int lay_out_matrices(const uint8_t *section, size_t nbytes, struct layout *l)
{
    l->begin = lwfc_section_begin(section, nbytes, &l->t, &l->sizes);
    l->matrices = l->mean = l->begin;
    for (int m = 0; l->begin != 0 && m < l->t.matrix_count; m++) {
        l->mean = lwfc_size_add(l->mean, lwfc_section_matrix(&l->t, l->sizes.matrix_columns[m]));
    }
    return l->begin == 0 ? -1 : 0;
}

static void lay_out_rest(struct layout *l)
{
    l->of_columns = lwfc_size_add(l->mean, 2 * l->sizes.means + l->tables);
    l->silent = lwfc_size_add(l->of_columns, l->sizes.coefficients);
    l->end = lwfc_size_add(l->silent, 2 * (size_t)l->sizes.groups);
}

/* Between every width-th byte of a run and a plane. */
static uint8_t *move_run(uint8_t *section, size_t count, size_t width, uint8_t *plane, int unpack)
{
    for (size_t i = 0; i < count; i++) {
        if (unpack) {
            section[i * width] = plane[i];
        } else {
            plane[i] = section[i * width];
        }
    }
    return plane + count;
}

/* Between a section and one of its planes; returns the plane's bytes. With a plane of NULL it
 * only counts. */
static size_t move_plane(const struct layout *l, uint8_t *section, enum part part, size_t byte,
                         uint8_t *plane, int unpack)
{
    const size_t width = part_width[part], channels = (size_t)l->t.channels;
    uint8_t *end = plane;
    size_t at = l->matrices, total = 0;
    if (part >= SHIFT && part <= ANALYSIS) {
        for (int m = 0; m < l->t.matrix_count; m++) {
            const size_t columns = l->sizes.matrix_columns[m], size = columns * channels;
            const size_t counts[] = {1, columns, size, columns, size};
            for (enum part p = SHIFT; p <= ANALYSIS; p++) {
                const size_t count = counts[p - SHIFT];
                if (p == part) {
                    total += count;
                    end = plane == NULL
                              ? NULL
                              : move_run(section + at + byte, count, width, end, unpack);
                }
                at += count * part_width[p];
            }
        }
        return total;
    }
    switch (part) {
    case BEGIN:
        at = LWFC_SECTION_HEAD;
        total = 2 * (size_t)l->t.frequencies;
        break;
    case MEAN:
        at = l->mean;
        total = l->sizes.means;
        break;
    case OF_COLUMNS:
        at = l->of_columns;
        total = l->sizes.coefficients;
        break;
    default:
        at = l->silent;
        total = l->sizes.groups;
    }
    if (plane != NULL) {
        move_run(section + at + byte, total, width, plane, unpack);
    }
    return total;
}

/* From the places above and to the left: the larger, the smaller or the plane through them. */
static int32_t predict(const uint8_t *mean, size_t width, size_t y, size_t x)
{
    const size_t at = 2 * (y * width + x);
    const int32_t left = x > 0 ? (int16_t)lwfc_load_u16(mean + at - 2) : 0;
    const int32_t up = y > 0 ? (int16_t)lwfc_load_u16(mean + at - 2 * width) : 0;
    if (x == 0 || y == 0) {
        return left + up;
    }
    const int32_t corner = (int16_t)lwfc_load_u16(mean + at - 2 * width - 2);
    const int32_t low = left < up ? left : up, high = left < up ? up : left;
    return corner >= high ? low : corner <= low ? high : left + up - corner;
}

/* A map's means between values and 0, -1, 1, -2, .. of the difference modulo 2^16. */
static void turn_means(const struct layout *l, uint8_t *section, int unpack)
{
    const size_t height = (size_t)l->t.height, width = (size_t)l->t.width;
    const size_t places = height * width;
    if (!l->t.mean_is_map) {
        return;
    }
    for (size_t c = 0; c < (size_t)l->t.channels; c++) {
        uint8_t *mean = section + l->mean + 2 * c * places;
        for (size_t i = 0; i < places; i++) {
            const size_t at = unpack ? i : places - 1 - i;
            const uint32_t predicted = (uint32_t)predict(mean, width, at / width, at % width);
            const uint32_t v = lwfc_load_u16(mean + 2 * at);
            const uint32_t from = v & 1 ? ~(v >> 1) : v >> 1;
            const int16_t by = (int16_t)(uint16_t)(v - predicted);
            const uint32_t to = by < 0 ? ~((uint32_t)by << 1) : (uint32_t)by << 1;
            lwfc_store_u16(mean + 2 * at, (uint16_t)(unpack ? predicted + from : to));
        }
    }
}

/* Memory of the largest plane: its bytes, and joined coding of them. */
struct work {
    uint8_t *plane, *joined;
};

static struct lwfc_block block_of(size_t count)
{
    return (struct lwfc_block){1, 1, 1, (int32_t)count};
}

static enum lwfc_status open_work(const struct layout *l, struct work *w)
{
    size_t most = 0;
    for (enum part p = BEGIN; p < PARTS; p++) {
        const size_t count = move_plane(l, NULL, p, 0, NULL, 0);
        most = count > most ? count : most;
    }
    const struct lwfc_block block = block_of(most);
    w->plane = lwfc_alloc(most);
    w->joined = lwfc_alloc(lwfc_joined_workspace(&block, VALUES));
    return w->plane != NULL && w->joined != NULL ? LWFC_OK : LWFC_ERROR_MEMORY;
}

static void close_work(const struct work *w)
{
    lwfc_free(w->plane);
    lwfc_free(w->joined);
}

static uint8_t *pack_plane(const struct layout *l, uint8_t *section, enum part part, size_t byte,
                           const struct work *w, uint8_t *out)
{
    const struct lwfc_block block = block_of(move_plane(l, section, part, byte, w->plane, 0));
    if (block.width == 0) {
        return out;
    }
    const size_t bound = lwfc_joined_bound(&block, VALUES);
    const size_t nbytes =
        lwfc_joined_encode(w->plane, &block, VALUES, out + 4, bound, w->joined);
    lwfc_store_u32(out, (uint32_t)nbytes);
    return out + 4 + nbytes;
}

enum lwfc_status lwfc_section_pack(const uint8_t *section, size_t nbytes, uint8_t **packed,
                                   size_t *packed_nbytes)
{
    struct layout l;
    *packed = NULL;
    if (nbytes > SECTION_MAX || lay_out_matrices(section, nbytes, &l) != 0 || l.mean > nbytes ||
        2 * l.sizes.means > nbytes - l.mean) {
        return LWFC_ERROR_CODEC_FILE;
    }
    const size_t tables = l.mean + 2 * l.sizes.means;
    l.tables = lwfc_section_tables(section + tables, nbytes - tables, &l.sizes);
    lay_out_rest(&l);
    if (l.tables == 0 || l.end != nbytes) {
        return LWFC_ERROR_CODEC_FILE;
    }
    struct work w;
    const enum lwfc_status status = open_work(&l, &w);
    uint8_t *turned = lwfc_alloc(nbytes), *out = lwfc_alloc(nbytes + PLANES_NBYTES);
    if (status == LWFC_OK && turned != NULL && out != NULL) {
        memcpy(turned, section, nbytes);
        turn_means(&l, turned, 0);
        memcpy(out, section, LWFC_SECTION_HEAD);
        uint8_t *p = out + LWFC_SECTION_HEAD;
        for (enum part part = BEGIN; part < PARTS; part++) {
            for (size_t byte = 0; byte < part_width[part]; byte++) {
                p = pack_plane(&l, turned, part, byte, &w, p);
            }
            if (part == BEGIN) {
                memcpy(p, section + tables, l.tables);
                p += l.tables;
            }
        }
        *packed = out;
        *packed_nbytes = (size_t)(p - out);
        out = NULL;
    }
    lwfc_free(out);
    lwfc_free(turned);
    close_work(&w);
    return *packed != NULL ? LWFC_OK : LWFC_ERROR_MEMORY;
}

/* The next plane's symbols into w->plane; its end, or NULL. */
static const uint8_t *unpack_plane(const uint8_t *p, const uint8_t *end, size_t count,
                                   const struct work *w)
{
    if (p == NULL || count == 0) {
        return p;
    }
    if (end - p < 4 || (size_t)(end - p) - 4 < lwfc_load_u32(p)) {
        return NULL;
    }
    const size_t nbytes = lwfc_load_u32(p);
    const struct lwfc_block block = block_of(count);
    return lwfc_joined_decode(p + 4, nbytes, &block, VALUES, w->plane, w->joined) == 0
               ? p + 4 + nbytes
               : NULL;
}

/* Index and columns, on which all other sizes depend, into `prefix` behind the head. */
static const uint8_t *unpack_begin(const uint8_t *p, const uint8_t *end, size_t count,
                                   uint8_t *prefix)
{
    const struct lwfc_block block = block_of(count);
    const struct work w = {lwfc_alloc(count), lwfc_alloc(lwfc_joined_workspace(&block, VALUES))};
    const uint8_t *at = w.plane != NULL && w.joined != NULL ? p : NULL;
    for (size_t byte = 0; byte < 2 && at != NULL; byte++) {
        at = unpack_plane(at, end, count, &w);
        if (at != NULL) {
            move_run(prefix + LWFC_SECTION_HEAD + byte, count, 2, w.plane, 1);
        }
    }
    close_work(&w);
    return at;
}

/* The section's sizes; returns where the planes behind the tables begin, or NULL. */
static const uint8_t *unpack_sizes(const uint8_t *packed, const uint8_t *end, struct layout *l,
                                   uint8_t *prefix)
{
    if (end - packed < LWFC_SECTION_HEAD) {
        return NULL;
    }
    const int height = packed[10], width = packed[11]; /* of a block */
    if (height == 0 || height > LWFC_SIDE_MAX || width == 0 || width > LWFC_SIDE_MAX) {
        return NULL;
    }
    memcpy(prefix, packed, LWFC_SECTION_HEAD);
    const uint8_t *p = unpack_begin(packed + LWFC_SECTION_HEAD, end,
                                    2 * (size_t)height * (size_t)width, prefix);
    if (p == NULL || lay_out_matrices(prefix, PREFIX_MAX, l) != 0) {
        return NULL;
    }
    l->tables = lwfc_section_tables(p, (size_t)(end - p), &l->sizes);
    lay_out_rest(l);
    const size_t most = EXPANSION_FREE + EXPANSION * (size_t)(end - packed);
    return l->tables != 0 && l->end <= SECTION_MAX && l->end <= most ? p : NULL;
}

enum lwfc_status lwfc_section_unpack(const uint8_t *packed, size_t nbytes, uint8_t **section,
                                     size_t *section_nbytes)
{
    struct layout l;
    uint8_t prefix[PREFIX_MAX];
    const uint8_t *const end = packed + nbytes;
    *section = NULL;
    const uint8_t *p = unpack_sizes(packed, end, &l, prefix);
    if (p == NULL) {
        return LWFC_ERROR_CODEC_FILE;
    }
    struct work w;
    enum lwfc_status status = open_work(&l, &w);
    uint8_t *out = lwfc_alloc(l.end);
    if (status == LWFC_OK && out != NULL) {
        memcpy(out, prefix, l.begin);
        memcpy(out + l.mean + 2 * l.sizes.means, p, l.tables);
        p += l.tables;
        for (enum part part = SHIFT; part < PARTS; part++) {
            for (size_t byte = 0; byte < part_width[part]; byte++) {
                p = unpack_plane(p, end, move_plane(&l, NULL, part, byte, NULL, 1), &w);
                if (p != NULL) {
                    move_plane(&l, out, part, byte, w.plane, 1);
                }
            }
        }
        status = p == end ? LWFC_OK : LWFC_ERROR_CODEC_FILE;
    } else {
        status = LWFC_ERROR_MEMORY;
    }
    close_work(&w);
    if (status != LWFC_OK) {
        lwfc_free(out);
        return status;
    }
    turn_means(&l, out, 1);
    *section = out;
    *section_nbytes = l.end;
    return LWFC_OK;
}
