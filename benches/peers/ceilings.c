/* What this machine can do at most, on two threads: products in registers, and reading memory. Prints a line of JSON for
   each. cc -O2 -pthread ceilings.c -o ceilings */
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2
static const long LOOPS = 20000000;
static const size_t BYTES = 512u << 20; /* a thread; far more than any cache */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Ten independent sums hide the latency of the instruction. */
#define TEN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)

__attribute__((target("avx512f"))) static void *f32(void *unused) {
    __m512 a = _mm512_set1_ps(0.5f), s[10];
#define ZERO(i) s[i] = _mm512_setzero_ps();
#define STEP(i) s[i] = _mm512_fmadd_ps(a, a, s[i]); __asm__ volatile("" : "+v"(s[i]));
    TEN(ZERO)
    for (long i = 0; i < LOOPS; i++) { TEN(STEP) }
#undef STEP
    return unused;
}

__attribute__((target("avx2,fma"))) static void *f32_avx2(void *unused) {
    __m256 a = _mm256_set1_ps(0.5f), s[10];
#define ZERO_256(i) s[i] = _mm256_setzero_ps();
#define STEP(i) s[i] = _mm256_fmadd_ps(a, a, s[i]); __asm__ volatile("" : "+x"(s[i]));
    TEN(ZERO_256)
    for (long i = 0; i < LOOPS; i++) { TEN(STEP) }
#undef STEP
    return unused;
}

__attribute__((target("avx512f,avx512bf16"))) static void *bf16(void *unused) {
    __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f00);
    __m512 s[10];
    TEN(ZERO)
#define STEP(i) s[i] = _mm512_dpbf16_ps(s[i], a, a); __asm__ volatile("" : "+v"(s[i]));
    for (long i = 0; i < LOOPS; i++) { TEN(STEP) }
#undef STEP
    return unused;
}

__attribute__((target("avx512f,avx512vnni"))) static void *int8(void *unused) {
    __m512i a = _mm512_set1_epi8(1), s[10];
#define ZERO_I(i) s[i] = _mm512_setzero_si512();
    TEN(ZERO_I)
#define STEP(i) s[i] = _mm512_dpbusd_epi32(s[i], a, a); __asm__ volatile("" : "+v"(s[i]));
    for (long i = 0; i < LOOPS; i++) { TEN(STEP) }
#undef STEP
    return unused;
}

__attribute__((target("amx-tile,amx-bf16"))) static void *amx(void *unused) {
    uint8_t config[64] __attribute__((aligned(64))) = {1};
    for (int tile = 0; tile < 8; tile++) {
        config[16 + 2 * tile] = 64;
        config[48 + tile] = 16;
    }
    _tile_loadconfig(config);
    _tile_zero(4); _tile_zero(5); _tile_zero(6); _tile_zero(7);
    for (long i = 0; i < LOOPS / 10; i++) {
        _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return unused;
}

static void *fill(void *memory) { return memset(memory, 1, BYTES); }

__attribute__((target("avx2"))) static void *reads(void *memory) {
    __m256i sum = _mm256_setzero_si256();
    for (char *at = memory, *end = at + BYTES; at < end; at += 256)
        for (int i = 0; i < 256; i += 32) sum = _mm256_add_epi64(sum, _mm256_load_si256((__m256i *)(at + i)));
    __asm__ volatile("" : : "x"(sum));
    return memory;
}

static char *memory[THREADS];

/* Seconds that all threads together take. */
static double together(void *(*work)(void *)) {
    pthread_t threads[THREADS];
    double start = now();
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, work, memory[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
    return now() - start;
}

static void report(const char *name, double value, const char *unit) {
    printf("{\"name\": \"%s\", \"value\": %.1f, \"unit\": \"%s\"}\n", name, value, unit);
}

int main(void) {
    double sums = 10.0 * LOOPS * THREADS * 1e-9;
    for (int i = 0; i < THREADS; i++) memory[i] = aligned_alloc(4096, BYTES);
    if (__builtin_cpu_supports("fma")) report("AVX2 f32", sums * 16 / together(f32_avx2), "GFLOP/s");
    if (__builtin_cpu_supports("avx512f")) report("AVX-512 f32", sums * 32 / together(f32), "GFLOP/s");
    if (__builtin_cpu_supports("avx512bf16")) report("AVX-512 bf16", sums * 64 / together(bf16), "GFLOP/s");
    if (__builtin_cpu_supports("avx512vnni")) report("AVX-512 int8", sums * 128 / together(int8), "GOP/s");
    unsigned a = 7, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if ((d >> 22 & 1) && syscall(SYS_arch_prctl, 0x1023, 18) == 0)
        report("AMX bf16", 4.0 * (LOOPS / 10) * THREADS * 16384 * 1e-9 / together(amx), "GFLOP/s");
    if (__builtin_cpu_supports("avx2")) {
        together(fill);
        report("memory, reading", 1e-9 * BYTES * THREADS / together(reads), "GB/s");
    }
    return 0;
}
