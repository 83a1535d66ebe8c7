// SPDX-License-Identifier: Apache-2.0
// wring_pool: one default workqueue of the default runtime behind the face that the opponents have too.
#pragma once

#include <wring/wring.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <utility>

namespace bench {

class wring_pool {
 public:
  explicit wring_pool(unsigned threads) {
    wring::runtime::configure_default({.cpus = threads});
    queue_ = std::make_unique<wring::workqueue>(wring::workqueue_options{.name = "bench"});
  }

  template <class F>
  void submit(F&& function) {
    queue_->submit(std::forward<F>(function));
  }

  [[nodiscard]] wring::workqueue& queue() noexcept { return *queue_; }

  class group : public wring::task_group {
   public:
    explicit group(wring_pool& pool) : task_group{*pool.queue_} {}
  };

  class serial {
   public:
    template <class F>
    serial(wring_pool&, F body) : body_{std::move(body)}, queue_{{.name = "ordered", .ordered = true}} {}
    void post(std::uint32_t message) {
      queue_.submit([this, message] { body_(message); });
    }

   private:
    std::function<void(std::uint32_t)> body_;
    wring::workqueue queue_;
  };

 private:
  std::unique_ptr<wring::workqueue> queue_;
};

}  // namespace bench
