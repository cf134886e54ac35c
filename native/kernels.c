/* The network's layers on a CPU: no Python, no VapourSynth, no memory and no threads of its own.
 *
 * Maps are float32, their channels in groups of PACK that lie side by side: a pixel of a group is
 * one vector. A layer computes rows first … last - 1 of its outputs.
 *
 * 3x3 convolutions are Winograd's F(4x4, 3x3): Lavin and Gray, "Fast Algorithms for Convolutional
 * Neural Networks" (arXiv 1509.09308), section 4. A tile of 4x4 outputs takes 36 products a channel
 * in place of 144. The points are 0, +-A, +-B and infinity; for F(4, 3) these lose fewer bits than
 * +-1 and +-2. The weights come transformed (vsanimesr/engines/native/weights.py).
 */
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define SHARED __declspec(dllexport)
#else
#define SHARED __attribute__((visibility("default")))
#endif

enum { PACK = 16, TILE = 4, SEEN = TILE + 2, POINTS = SEEN * SEEN };
enum { SETS = 4 }; /* of tiles at a time, at most: more are no faster (docs/performance.md) */
#define A 0.70710678118654752f
#define B 1.4142135623730951f
#define A2 0.5f
#define B2 2.0f

#define UNROLLED _Pragma("clang loop unroll(full)")

typedef float vec __attribute__((vector_size(PACK * sizeof(float))));

/* vsanimesr/engines/native/library.py has the same. */
struct layer {
    const float *const *inputs; /* of each group: what output (0, 0) sees first, one up and left */
    float *const *outputs;      /* of each group: row 0, column 0 */
    const float *weights;
    const float *bias;          /* of each output */
    const float *slopes;        /* of each group: of what is negative; 1 changes nothing */
    const int32_t *added;       /* of each group: add to what lies there */
    int32_t input_groups, output_groups;
    int32_t input_stride, output_stride; /* pixels from row to row */
    int32_t rows, columns;               /* of the outputs, whole */
};

static inline int at_most(int value, int limit) { return value < limit ? value : limit; }
static inline float within(float value, float most) {
    return value < 0 ? 0 : value < most ? value : most;
}

#if defined __x86_64__
#define FUNCTION(name) name##_avx512
#define BLOCK 2
#define TILES 12
#pragma clang attribute push(__attribute__((target("avx512f,avx2,fma"))), apply_to = function)
#include "kernels.h"
#pragma clang attribute pop
#undef FUNCTION
#undef BLOCK
#undef TILES
#define FUNCTION(name) name##_avx2
#define BLOCK 1
#define TILES 6
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernels.h"
#pragma clang attribute pop
#undef FUNCTION
#define CALL(name, ...) (wide ? name##_avx512(__VA_ARGS__) : name##_avx2(__VA_ARGS__))
#else
#define FUNCTION(name) name##_plain
#define BLOCK 1
#define TILES 6
#include "kernels.h"
#define CALL(name, ...) ((void)wide, name##_plain(__VA_ARGS__))
#endif

/* `wide`: the processor has AVX512; otherwise AVX2 and FMA, or NEON. */

SHARED void animesr_winograd(const struct layer *layer, int first, int last, int wide,
                             float *scratch, size_t room);
SHARED void animesr_winograd(const struct layer *layer, int first, int last, int wide,
                             float *scratch, size_t room) {
    CALL(winograd, layer, first, last, scratch, room);
}

SHARED void animesr_halve(const struct layer *layer, int first, int last, int wide);
SHARED void animesr_halve(const struct layer *layer, int first, int last, int wide) {
    CALL(halve, layer, first, last);
}

SHARED void animesr_enlarge(const struct layer *layer, int first, int last, int wide, int scale);
SHARED void animesr_enlarge(const struct layer *layer, int first, int last, int wide, int scale) {
    CALL(enlarge, layer, scale, first, last);
}

SHARED void animesr_join(const struct layer *layer, int first, int last, int wide);
SHARED void animesr_join(const struct layer *layer, int first, int last, int wide) {
    CALL(join, layer, first, last);
}

SHARED void animesr_unfold(const struct layer *layer, int first, int last, int wide);
SHARED void animesr_unfold(const struct layer *layer, int first, int last, int wide) {
    CALL(unfold, layer, first, last);
}
