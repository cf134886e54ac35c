/* The kernels for one instruction set, included once for each (kernels.c).
 *
 * FUNCTION(name) is a function's name there. What fits its registers: BLOCK, groups of outputs, and
 * TILES, tiles (or pixels), that are summed up at a time. However many, each sum has the same terms
 * in the same order, and so the same bits.
 */

/* sums[tile][block] = weights * values, over all channels.
 *
 * weights: [group][channel][output], those of the second block `next` floats on.
 * values: [group][tile][channel]. */
#define PRODUCT(name, blocks)                                                                      \
    static inline void FUNCTION(name)(const float *weights, size_t next, const float *values,      \
                                      int groups, vec *sums) {                                     \
        vec sum[TILES][blocks] = {0};                                                              \
        const vec *here = (const vec *)weights, *there = (const vec *)(weights + next);            \
        for (int group = 0; group < groups; group++, values += TILES * PACK) {                     \
            UNROLLED for (int channel = 0; channel < PACK; channel++, here++, there++) {           \
                UNROLLED for (int t = 0; t < TILES; t++) {                                         \
                    sum[t][0] += *here * values[t * PACK + channel];                               \
                    if (blocks > 1)                                                                \
                        sum[t][blocks - 1] += *there * values[t * PACK + channel];                 \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        UNROLLED for (int t = 0; t < TILES; t++)                                                   \
            UNROLLED for (int block = 0; block < blocks; block++)                                  \
                sums[t * blocks + block] = sum[t][block];                                          \
    }
PRODUCT(product_one, 1)
#if BLOCK > 1
PRODUCT(product_two, 2)
#endif
#undef PRODUCT

/* Six pixels of a line, transformed (the rows of B^T). */
#define POINTS_OF(d0, d1, d2, d3, d4, d5, to, step)                                                \
    do {                                                                                           \
        vec even = (d4) - B2 * (d2), odd = A * ((d3) - B2 * (d1));                                 \
        vec even_b = (d4) - A2 * (d2), odd_b = B * ((d3) - A2 * (d1));                             \
        (to)[0] = (A2 * B2) * (d0) - (A2 + B2) * (d2) + (d4);                                      \
        (to)[1 * (step)] = even + odd;                                                             \
        (to)[2 * (step)] = even - odd;                                                             \
        (to)[3 * (step)] = even_b + odd_b;                                                         \
        (to)[4 * (step)] = even_b - odd_b;                                                         \
        (to)[5 * (step)] = (A2 * B2) * (d1) - (A2 + B2) * (d3) + (d5);                             \
    } while (0)

/* Transform the 6x6 pixels that a tile sees; point i lies at to[i * step]. */
static inline void FUNCTION(read_tile)(const vec *from, size_t stride, vec *to, size_t step) {
    vec half[SEEN][SEEN];
    for (int x = 0; x < SEEN; x++)
        POINTS_OF(from[x], from[stride + x], from[2 * stride + x], from[3 * stride + x],
                  from[4 * stride + x], from[5 * stride + x], &half[0][x], SEEN);
    for (int y = 0; y < SEEN; y++)
        POINTS_OF(half[y][0], half[y][1], half[y][2], half[y][3], half[y][4], half[y][5],
                  to + y * SEEN * step, step);
}

/* Four pixels of a line out of its points (the rows of A^T). */
#define PIXELS_OF(m0, m1, m2, m3, m4, m5, to, step)                                                \
    do {                                                                                           \
        vec sum = (m1) + (m2), rest = A * ((m1) - (m2));                                           \
        vec sum_b = (m3) + (m4), rest_b = B * ((m3) - (m4));                                       \
        (to)[0] = (m0) + sum + sum_b;                                                              \
        (to)[1 * (step)] = rest + rest_b;                                                          \
        (to)[2 * (step)] = A2 * sum + B2 * sum_b;                                                  \
        (to)[3 * (step)] = A2 * rest + B2 * rest_b + (m5);                                         \
    } while (0)

/* A pixel of a group of outputs: bias, what may lie there already, activation. */
static inline void FUNCTION(write_pixel)(vec *to, const vec *sum, const struct layer *layer,
                                         int group) {
    vec value = *sum + ((const vec *)layer->bias)[group];
    value = __builtin_elementwise_max(value, value * layer->slopes[group]);
    *to = layer->added[group] ? *to + value : value;
}

/* The 4x4 pixels of a tile, or the rows and columns of them that are wanted. */
static inline void FUNCTION(write_tile)(const vec *from, size_t step, vec *to, int rows,
                                        int columns, const struct layer *layer, int group) {
    vec half[TILE][SEEN], made[TILE][TILE];
    for (int x = 0; x < SEEN; x++)
        PIXELS_OF(from[x * step], from[(SEEN + x) * step], from[(2 * SEEN + x) * step],
                  from[(3 * SEEN + x) * step], from[(4 * SEEN + x) * step],
                  from[(5 * SEEN + x) * step], &half[0][x], SEEN);
    for (int y = 0; y < TILE; y++)
        PIXELS_OF(half[y][0], half[y][1], half[y][2], half[y][3], half[y][4], half[y][5], made[y],
                  1);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++)
            FUNCTION(write_pixel)(to + (size_t)y * layer->output_stride + x, &made[y][x], layer,
                                  group);
}

/* A 3x3 convolution, tile by tile: a set of tiles is transformed for all channels, then summed up
 * block by block of outputs, each of which is written before the next. */
static void FUNCTION(winograd)(const struct layer *layer, int first, int last, float *scratch,
                               size_t room) {
    const int across = (layer->columns + TILE - 1) / TILE;
    const int total = (last - first + TILE - 1) / TILE * across;
    const int groups = layer->input_groups;
    const size_t set = (size_t)groups * TILES; /* vectors of a point */
    int sets = (int)(room / sizeof(vec) / POINTS / (set + BLOCK * TILES));
    sets = at_most(at_most(sets, SETS), (total + TILES - 1) / TILES);
    vec *values = (vec *)scratch, *sums = values + POINTS * sets * set;
    const size_t next = (size_t)POINTS * groups * PACK * PACK; /* floats */
    for (int begin = 0; begin < total; begin += sets * TILES) {
        const int count = at_most(total - begin, sets * TILES);
        for (int group = 0; group < groups; group++)
            for (int t = 0; t < count; t++) {
                const int y = first + (begin + t) / across * TILE, x = (begin + t) % across * TILE;
                const int rows = last + 2 - y, columns = layer->columns + 2 - x;
                size_t stride = layer->input_stride;
                const vec *from = (const vec *)layer->inputs[group] + y * stride + x;
                vec edge[SEEN * SEEN] = {0};
                if (rows < SEEN || columns < SEEN) { /* beyond there may be anything */
                    for (int i = 0; i < at_most(rows, SEEN); i++)
                        for (int j = 0; j < at_most(columns, SEEN); j++)
                            edge[i * SEEN + j] = from[i * stride + j];
                    from = edge, stride = SEEN;
                }
                vec *to = values + t / TILES * set + group * TILES + t % TILES;
                FUNCTION(read_tile)(from, stride, to, sets * set);
            }
        for (int group = 0; group < layer->output_groups; group += BLOCK) {
            const int blocks = at_most(layer->output_groups - group, BLOCK);
            const float *weights = layer->weights + group * next;
            for (int point = 0; point < POINTS; point++, weights += groups * PACK * PACK)
                for (int i = 0; i * TILES < count; i++) {
                    const float *read = (const float *)(values + (point * sets + i) * set);
                    vec *to = sums + (point * sets + i) * TILES * blocks;
#if BLOCK > 1
                    if (blocks > 1)
                        FUNCTION(product_two)(weights, next, read, groups, to);
                    else
#endif
                        FUNCTION(product_one)(weights, 0, read, groups, to);
                }
            for (int block = 0; block < blocks; block++)
                for (int t = 0; t < count; t++) {
                    const int y = first + (begin + t) / across * TILE;
                    const int x = (begin + t) % across * TILE;
                    vec *to = (vec *)layer->outputs[group + block] +
                              (size_t)y * layer->output_stride + x;
                    FUNCTION(write_tile)(sums + t * blocks + block, sets * TILES * blocks, to,
                                         at_most(last - y, TILE), at_most(layer->columns - x, TILE),
                                         layer, group + block);
                }
        }
    }
}

/* A 3x3 convolution that takes every second pixel. weights: [group of outputs][tap][group][channel]
 * [output]. Their number of groups is a multiple of BLOCK. */
static void FUNCTION(halve)(const struct layer *layer, int first, int last) {
    const size_t next = 9 * (size_t)layer->input_groups * PACK;
    for (int group = 0; group < layer->output_groups; group += BLOCK)
        for (int y = first; y < last; y++)
            for (int x = 0; x < layer->columns; x += TILES) {
                const int count = at_most(layer->columns - x, TILES);
                const vec *weights = (const vec *)layer->weights + group * next;
                vec sum[TILES][BLOCK] = {0};
                for (int tap = 0; tap < 9; tap++)
                    for (int in = 0; in < layer->input_groups; in++, weights += PACK) {
                        size_t at = (2 * (size_t)y + tap / 3) * layer->input_stride;
                        const float *read = layer->inputs[in] + (at + 2 * x + tap % 3) * PACK;
                        float edge[2 * TILES * PACK];
                        if (count < TILES) { /* beyond there is another row */
                            for (int i = 0; i < 2 * TILES * PACK; i++)
                                edge[i] = i < (2 * count - 1) * PACK ? read[i] : 0;
                            read = edge;
                        }
                        UNROLLED for (int channel = 0; channel < PACK; channel++)
                            UNROLLED for (int t = 0; t < TILES; t++)
                                UNROLLED for (int block = 0; block < BLOCK; block++)
                                    sum[t][block] += weights[block * next + channel] *
                                                     read[2 * t * PACK + channel];
                    }
                vec made[TILES][BLOCK]; /* `sum` itself stays in registers */
                UNROLLED for (int t = 0; t < TILES; t++)
                    UNROLLED for (int block = 0; block < BLOCK; block++)
                        made[t][block] = sum[t][block];
                for (int block = 0; block < BLOCK; block++) {
                    vec *to = (vec *)layer->outputs[group + block];
                    to += (size_t)y * layer->output_stride + x;
                    for (int t = 0; t < count; t++)
                        FUNCTION(write_pixel)(to + t, &made[t][block], layer, group + block);
                }
            }
}

/* Bilinear enlargement, pixel centres aligned; what lies outside the map is its edge. */
static void FUNCTION(enlarge)(const struct layer *layer, int scale, int first, int last) {
    const float most_y = layer->rows / scale - 1, most_x = layer->columns / scale - 1;
    for (int group = 0; group < layer->output_groups; group++)
        for (int y = first; y < last; y++) {
            const float at_y = within((y + 0.5f) / scale - 0.5f, most_y);
            const size_t top = (size_t)at_y, bottom = (size_t)within(top + 1, most_y);
            const float below = at_y - top, above = 1 - below;
            const vec *map = (const vec *)layer->inputs[group] + layer->input_stride + 1;
            const vec *upper = map + top * layer->input_stride;
            const vec *lower = map + bottom * layer->input_stride;
            vec *to = (vec *)layer->outputs[group] + (size_t)y * layer->output_stride;
            for (int x = 0; x < layer->columns; x++) {
                const float at_x = within((x + 0.5f) / scale - 0.5f, most_x);
                const size_t left = (size_t)at_x, right = (size_t)within(left + 1, most_x);
                const float after = at_x - left, before = 1 - after;
                vec value = above * (before * upper[left] + after * upper[right]) +
                            below * (before * lower[left] + after * lower[right]);
                to[x] = layer->added[group] ? to[x] + value : value;
            }
        }
}

/* The frames' channels side by side, as a convolution reads them. */
static void FUNCTION(join)(const struct layer *layer, int first, int last) {
    for (int y = first; y < last; y++) {
        float *to = layer->outputs[0] + (size_t)y * layer->output_stride * PACK;
        for (int x = 0; x < layer->columns; x++)
            for (int i = 0; i < layer->input_groups; i++)
                to[x * PACK + i] = layer->inputs[i][(size_t)(y + 1) * layer->input_stride + x + 1];
    }
}

/* A frame enlarged to a folded image, a colour a group. weights: [tap][phase]. */
static void FUNCTION(unfold)(const struct layer *layer, int first, int last) {
    const vec *weights = (const vec *)layer->weights;
    for (int colour = 0; colour < layer->output_groups; colour++)
        for (int y = first; y < last; y++) {
            vec *to = (vec *)layer->outputs[colour] + (size_t)y * layer->output_stride;
            for (int x = 0; x < layer->columns; x++) {
                vec sum = {0};
                for (int tap = 0; tap < 9; tap++) {
                    const size_t at = (size_t)(y + tap / 3) * layer->input_stride + x + tap % 3;
                    sum += weights[tap] * layer->inputs[colour][at];
                }
                to[x] = sum;
            }
        }
}
