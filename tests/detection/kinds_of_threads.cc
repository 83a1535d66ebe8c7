// SPDX-License-Identifier: Apache-2.0
// kinds_of_threads: waiting for another thread, by all the means that the C++ library, libc and the kernel offer.
#include "detection/kinds.h"
#include "support/gate.h"

#include <linux/futex.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <thread>

namespace wring::test {
namespace {

class raw_futex final : public kind {
 public:
  void wait() override {
    while (word_.load() == 0) ::syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
  void open() override {
    word_.store(1);
    ::syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  std::atomic<int> word_{0};
};

class atomic_wait final : public kind {
 public:
  void wait() override { open_.wait(false); }
  void open() override {
    open_.store(true);
    open_.notify_all();
  }

 private:
  std::atomic<bool> open_{false};
};

class condition_variable final : public kind {
 public:
  void wait() override { gate_.wait(); }
  void open() override { gate_.open(); }

 private:
  gate gate_;
};

// Only its owner may unlock a mutex, so a thread keeps it until it is told to let go.
template <class Mutex>
class locked_mutex final : public kind {
 public:
  locked_mutex() { held_.wait(); }
  ~locked_mutex() override {
    let_go_.open();
    owner_.join();
  }
  void wait() override { const std::lock_guard lock{mu_}; }
  void open() override { let_go_.open(); }

 private:
  Mutex mu_;
  gate held_;
  gate let_go_;
  std::thread owner_{[this] {
    const std::lock_guard lock{mu_};
    held_.open();
    let_go_.wait();
  }};
};

class posix_semaphore final : public kind {
 public:
  posix_semaphore() { ::sem_init(&semaphore_, 0, 0); }
  ~posix_semaphore() override { ::sem_destroy(&semaphore_); }
  void wait() override { ::sem_wait(&semaphore_); }
  void open() override { ::sem_post(&semaphore_); }

 private:
  sem_t semaphore_{};
};

class standard_semaphore final : public kind {
 public:
  void wait() override { semaphore_.acquire(); }
  void open() override { semaphore_.release(); }

 private:
  std::counting_semaphore<> semaphore_{0};
};

// The wait that this test is about is itself a sleep, again and again; nobody sleeps in order to be later.
class short_sleeps final : public kind {
 public:
  void wait() override {
    while (!open_.load()) std::this_thread::sleep_for(std::chrono::microseconds{200});
  }
  void open() override { open_.store(true); }

 private:
  std::atomic<bool> open_{false};
};

class standard_future final : public kind {
 public:
  void wait() override { promise_.get_future().get(); }
  void open() override { promise_.set_value(); }

 private:
  std::promise<void> promise_;
};

class standard_latch final : public kind {
 public:
  void wait() override { latch_.wait(); }
  void open() override { latch_.count_down(); }

 private:
  std::latch latch_{1};
};

class thread_join final : public kind {
 public:
  ~thread_join() override {
    gate_.open();
    if (thread_.joinable()) thread_.join();
  }
  void wait() override { thread_.join(); }
  void open() override { gate_.open(); }

 private:
  gate gate_;
  std::thread thread_{[this] { gate_.wait(); }};
};

}  // namespace

std::vector<kind_maker> kinds_of_threads() {
  return {
      {"raw_futex", make_kind<raw_futex>},
      {"atomic_wait", make_kind<atomic_wait>},
      {"condition_variable", make_kind<condition_variable>},
      {"mutex", make_kind<locked_mutex<std::mutex>>},
      {"shared_mutex", make_kind<locked_mutex<std::shared_mutex>>},
      {"posix_semaphore", make_kind<posix_semaphore>},
      {"standard_semaphore", make_kind<standard_semaphore>},
      {"short_sleeps", make_kind<short_sleeps>, true},
      {"standard_future", make_kind<standard_future>},
      {"standard_latch", make_kind<standard_latch>},
      {"thread_join", make_kind<thread_join>},
  };
}

}  // namespace wring::test
