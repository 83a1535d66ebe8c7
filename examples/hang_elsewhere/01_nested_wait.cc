// SPDX-License-Identifier: Apache-2.0
// 01_nested_wait: tasks wait for tasks they have queued on the same pool.
//
// A pool of two threads hangs as soon as two parents hold both threads: their children are queued, and nobody is left
// to start them. wring sees that the parents wait, though none of them says so, and others take their places.
#include <wring/wring.h>

#include <cstdio>
#include <future>
#include <utility>

namespace {

// [sum]
// The sum of the numbers from `first` on, `count` of them: the second half by another task.
long sum(wring::workqueue& queue, long first, long count) {
  if (count == 1) return first;
  const long half = count / 2;
  std::packaged_task<long()> task{[&queue, first, half, count] { return sum(queue, first + half, count - half); }};
  std::future<long> second = task.get_future();
  queue.submit(std::move(task));
  const long mine = sum(queue, first, half);
  return mine + second.get();  // an ordinary wait
}
// [/sum]

}  // namespace

int main() {
  wring::runtime two{{.cpus = 2}};
  wring::workqueue queue{two, {.name = "sums"}};
  long result = 0;
  queue.submit([&] { result = sum(queue, 1, 32); });
  queue.drain();
  std::printf("%ld; %llu waits were seen\n", result,
              static_cast<unsigned long long>(two.stats().pools.front().blocks_seen));
  return result == 32 * 33 / 2 ? 0 : 1;
}
