// SPDX-License-Identifier: Apache-2.0
// 02_graph_in_a_task: tasks that run a small graph of tasks on the same pool, and wait until it is done.
//
// Libraries for task graphs forbid the ordinary "run and wait" inside of a task: with as many such tasks as threads
// the pool hangs, so one has to know where one is and call another function there (corun and its kin). Here the same
// function serves inside and outside.
#include <wring/wring.h>

#include <atomic>
#include <cstdio>

namespace {

// [graph]
// Two steps, the second after the first. From anywhere, also from a task of the same runtime.
void run_graph(wring::runtime& pool, std::atomic<int>& wrong) {
  wring::workqueue steps{pool, {.name = "graph"}};
  std::atomic<int> first{0};
  for (int i = 0; i < 4; ++i) steps.submit([&] { ++first; });
  steps.flush();  // run and wait
  for (int i = 0; i < 4; ++i) steps.submit([&] { wrong += first == 4 ? 0 : 1; });
  steps.flush();
}
// [/graph]

}  // namespace

int main() {
  wring::runtime two{{.cpus = 2}};
  wring::workqueue queue{two, {.name = "outer"}};
  std::atomic<int> wrong{0};
  std::atomic<int> done{0};
  for (int i = 0; i < 16; ++i) {
    queue.submit([&] {
      run_graph(two, wrong);
      ++done;
    });
  }
  run_graph(two, wrong);
  queue.flush();
  std::printf("%d graphs in tasks, %d steps too early\n", done.load(), wrong.load());
  return done == 16 && wrong == 0 ? 0 : 1;
}
