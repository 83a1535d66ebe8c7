// SPDX-License-Identifier: Apache-2.0
// tbb_pool: oneTBB in the form its manual recommends for each workload: task_arena::enqueue for first-in
// first-out items, task_group for fork and join, a serial flow::function_node for ordered messages.
//
// The arena has `threads` slots and reserves none for the submitter, and global_control allows one thread
// more than that (it counts the submitting thread), so exactly `threads` workers serve it.
#pragma once

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <cstdint>
#include <memory>
#include <utility>

namespace bench {

class tbb_pool {
 public:
  static constexpr unsigned default_threads(unsigned cpus) { return cpus; }

  explicit tbb_pool(unsigned threads)
      : allowed_{tbb::global_control::max_allowed_parallelism, threads + 1},
        arena_{static_cast<int>(threads), /*reserved_for_masters=*/0} {
    arena_.initialize();
    arena_.execute([this] { graph_ = std::make_unique<tbb::flow::graph>(); });  // belongs to the arena it is made in
  }
  tbb_pool(const tbb_pool&) = delete;
  tbb_pool& operator=(const tbb_pool&) = delete;

  template <class F>
  void submit(F&& function) {
    arena_.enqueue(std::forward<F>(function));
  }

  class group : public tbb::task_group {
   public:
    explicit group(tbb_pool&) {}
  };

  class serial {
   public:
    template <class F>
    serial(tbb_pool& pool, F body)
        : graph_{*pool.graph_}, node_{graph_, tbb::flow::serial, [body = std::move(body)](std::uint32_t message) {
                                        body(message);
                                        return tbb::flow::continue_msg{};
                                      }} {}
    ~serial() { graph_.wait_for_all(); }
    serial(const serial&) = delete;
    serial& operator=(const serial&) = delete;

    void post(std::uint32_t message) { node_.try_put(message); }

   private:
    tbb::flow::graph& graph_;
    tbb::flow::function_node<std::uint32_t> node_;
  };

 private:
  tbb::global_control allowed_;
  tbb::task_arena arena_;
  std::unique_ptr<tbb::flow::graph> graph_;
};

}  // namespace bench
