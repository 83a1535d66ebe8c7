// SPDX-License-Identifier: Apache-2.0
// 02_work_in_a_class: an object that does something again and again until it is destroyed.
//
// The item is a member, declared last. Its callback queues it again, which is always allowed. Its destructor cancels
// it and waits for a running callback, so that never sees a dead object, and ~heartbeat() needs no code.
#include <wring/wring.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <semaphore>

namespace {

// [class]
class heartbeat {
 public:
  heartbeat(wring::workqueue& queue, std::chrono::milliseconds every, std::atomic<int>& beats)
      : queue_{queue}, every_{every}, beats_{beats} {
    queue_.queue(beat_);
  }

  // Returns after the next beat.
  void wait() { beaten_.acquire(); }

 private:
  void beat() {
    ++beats_;
    beaten_.release();
    queue_.queue_delayed(beat_, every_);
  }

  wring::workqueue& queue_;
  const std::chrono::milliseconds every_;
  std::atomic<int>& beats_;
  std::counting_semaphore<> beaten_{0};
  wring::delayed_work beat_{[this] { beat(); }};  // last: everything above outlives it
};
// [/class]

}  // namespace

int main() {
  using namespace std::chrono_literals;
  wring::workqueue queue{{.name = "heartbeats"}};
  std::atomic<int> beats{0};
  const auto start = std::chrono::steady_clock::now();
  {
    heartbeat heart{queue, 2ms, beats};
    for (int i = 0; i < 5; ++i) heart.wait();
  }
  const auto elapsed = std::chrono::steady_clock::now() - start;
  const int counted = beats;
  queue.flush();
  std::printf("%d beats, and none after the end\n", counted);

  // Five beats have four pauses between them, none of which may be cut short.
  return counted >= 5 && elapsed >= 8ms && beats == counted ? 0 : 1;
}
