/* Read bandwidth of memory: threads that add up a buffer of their own, several times.

   cc -O3 -march=native -pthread read.c -o read
   ./read THREADS BYTES REPEATS      prints bytes per second, one line a repeat */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Sums that do not wait for each other keep several cache lines on their way. */
enum { LANES = 64, MAX_THREADS = 1024 };

typedef struct {
    const uint64_t *words;
    size_t count;
    uint64_t sum;
} Part;

static void *read_part(void *argument) {
    Part *part = argument;
    const uint64_t *words = part->words;
    uint64_t sums[LANES] = {0};
    for (size_t i = 0; i < part->count; i += LANES)
        for (int lane = 0; lane < LANES; lane++) sums[lane] += words[i + lane];
    for (int lane = 0; lane < LANES; lane++) part->sum += sums[lane];
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "read THREADS BYTES REPEATS\n"), 2;
    int threads = atoi(argv[1]), repeats = atoi(argv[3]);
    if (threads < 1 || threads > MAX_THREADS) return fprintf(stderr, "1 to 1024 threads\n"), 2;
    size_t count = strtoull(argv[2], NULL, 10) / 8 / (size_t)threads / LANES * LANES;
    size_t bytes = count * 8 * (size_t)threads;
    uint64_t *buffer = malloc(bytes);
    if (!buffer || !count) return fprintf(stderr, "no memory\n"), 1;
    memset(buffer, 1, bytes); /* every page is there before the first read */
    static Part parts[MAX_THREADS];
    static pthread_t ids[MAX_THREADS];
    uint64_t check = 0;
    for (int repeat = 0; repeat < repeats; repeat++) {
        double start = now();
        for (int t = 0; t < threads; t++) {
            parts[t] = (Part){buffer + count * (size_t)t, count, 0};
            if (pthread_create(&ids[t], NULL, read_part, &parts[t])) return 1;
        }
        for (int t = 0; t < threads; t++) pthread_join(ids[t], NULL);
        double seconds = now() - start;
        for (int t = 0; t < threads; t++) check += parts[t].sum;
        printf("%.0f\n", (double)bytes / seconds);
    }
    /* Said aloud, so that no compiler leaves the reading out. */
    fprintf(stderr, "%llu\n", (unsigned long long)check);
    return 0;
}
