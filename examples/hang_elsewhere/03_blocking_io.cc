// SPDX-License-Identifier: Apache-2.0
// 03_blocking_io: tasks that block in read() beside tasks that are queued.
//
// On a pool with a fixed number of threads, so many reads hold all of them; what is queued behind never starts, and if
// that is what would feed the reads, the program hangs. wring sees that the readers wait in the kernel.
#include <wring/wring.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>

int main() {
  wring::runtime two{{.cpus = 2}};
  wring::workqueue queue{two, {.name = "files"}};
  std::array<std::array<int, 2>, 8> pipes{};
  for (auto& pipe : pipes) {
    if (::pipe(pipe.data()) != 0) return 1;
  }

  std::atomic<int> got{0};
  // [read]
  for (const auto& pipe : pipes) {
    queue.submit([&got, from = pipe[0]] {
      char byte = 0;
      got += ::read(from, &byte, 1) == 1 ? 1 : 0;  // nothing says that this blocks
    });
  }
  for (const auto& pipe : pipes) {
    queue.submit([to = pipe[1]] { [[maybe_unused]] const auto bytes = ::write(to, "x", 1); });
  }
  queue.flush();
  // [/read]

  for (const auto& pipe : pipes) {
    for (const int end : pipe) ::close(end);
  }
  const wring::pool_stats pool = two.stats().pools.front();
  std::printf("%d of %zu reads done by %u workers\n", got.load(), pipes.size(), pool.workers_max);
  return got == 8 ? 0 : 1;
}
