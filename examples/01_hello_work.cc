// SPDX-License-Identifier: Apache-2.0
// 01_hello_work: the smallest whole program; the README quotes it. An item, a closure, four parts of a whole.
// clang-format off
// [main]
#include <wring/wring.h>
#include <cstdio>

int main() {
  wring::workqueue queue{{.name = "hello", .max_active = 8}};

  wring::work greet{[](wring::work&) { std::puts("hello from a worker"); }};
  queue.queue(greet);                                  // false if it was already pending
  queue.submit([] { std::puts("a one-off closure"); });

  wring::task_group parts{queue};
  for (int i = 0; i < 4; ++i) parts.run([i] { std::printf("part %d\n", i); });
  parts.wait();                                        // blocks without holding up the queue
  queue.flush();
}
// [/main]
