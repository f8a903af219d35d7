// Runs one kernel for another process, whose memory it fetches page by page.
//
// Words are 64 bits.  A request on standard input: the function, the number of words in its table,
// its four integers, the number of regions, then each region's address and size in the other
// process, then the table.  Words of the table that point into a region are moved to this process.
// When the kernel touches a page, `1, address` goes out and the page comes in.  At the end,
// `2, pages` goes out, and each page with its address.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, MAX_REGIONS = 16, MAX_PAGES = 1 << 16, MAX_WORDS = 256 };

typedef void function(void *, int64_t, int64_t, int64_t, int64_t);
__attribute__((weak)) function run, pack, outer, step, forward, forward_saving, backward;

static struct { uint64_t theirs, size; char *ours; } regions[MAX_REGIONS];
static struct { char *ours; uint64_t theirs; } pages[MAX_PAGES];
static int64_t num_regions, num_pages;

static void get(void *to, size_t size) {
  for (char *at = to; size > 0;) {
    ssize_t n = read(0, at, size);
    if (n <= 0) _exit(n == 0 ? 0 : 2);
    at += n, size -= n;
  }
}

static void put(const void *from, size_t size) {
  for (const char *at = from; size > 0;) {
    ssize_t n = write(1, at, size);
    if (n <= 0) _exit(3);
    at += n, size -= n;
  }
}

static void fetch(int signal, siginfo_t *information, void *context) {
  char *at = (char *)((uint64_t)information->si_addr & ~(uint64_t)(PAGE - 1));
  (void)signal, (void)context;
  for (int64_t k = 0; k < num_regions; ++k) {
    if (at < regions[k].ours || at >= regions[k].ours + regions[k].size) continue;
    if (num_pages == MAX_PAGES || mprotect(at, PAGE, PROT_READ | PROT_WRITE)) _exit(4);
    uint64_t request[2] = {1, regions[k].theirs + (at - regions[k].ours)};
    pages[num_pages].ours = at, pages[num_pages++].theirs = request[1];
    put(request, sizeof request);
    get(at, PAGE);
    return;
  }
  _exit(5);  // memory of nobody
}

int main(void) {
  function *functions[] = {run, pack, outer, step, forward, forward_saving, backward};
  struct sigaction action = {.sa_sigaction = fetch, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  for (;;) {
    int64_t head[7], table[MAX_WORDS];
    get(head, sizeof head);
    num_regions = head[6], num_pages = 0;
    for (int64_t k = 0; k < num_regions; ++k) {
      uint64_t region[2];
      get(region, sizeof region);
      regions[k].theirs = region[0], regions[k].size = region[1];
      regions[k].ours = mmap(NULL, region[1], PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (regions[k].ours == MAP_FAILED) _exit(6);
    }
    get(table, 8 * head[1]);
    for (int64_t w = 0; w < head[1]; ++w)
      for (int64_t k = 0; k < num_regions; ++k)
        if ((uint64_t)table[w] - regions[k].theirs < regions[k].size) {
          table[w] += (int64_t)regions[k].ours - (int64_t)regions[k].theirs;
          break;
        }
    functions[head[0]](table, head[2], head[3], head[4], head[5]);
    int64_t done[2] = {2, num_pages};
    put(done, sizeof done);
    for (int64_t k = 0; k < num_pages; ++k) {
      put(&pages[k].theirs, 8);
      put(pages[k].ours, PAGE);
    }
    for (int64_t k = 0; k < num_regions; ++k) munmap(regions[k].ours, regions[k].size);
  }
}
