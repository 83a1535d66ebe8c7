// SPDX-License-Identifier: Apache-2.0
// static_use: what the objects of the static program do with wring before and after main(). Used by sources that
// are each initialised on their own, in either order.
#pragma once

#include <wring/wring.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>

namespace wring::test {

// Usable at any time: initialised before all code, never destroyed.
inline constinit std::atomic<int> users_made{0};
inline constinit std::atomic<int> users_destroyed{0};
inline constinit std::atomic<int> runs{0};
inline constinit std::atomic<int> hasty_runs{0};  // of an item that nobody waits for
inline constinit const char* first_initialised = nullptr;

inline void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "static program: %s\n", what);
  ::_exit(1);
}

// A queue of everybody, made by whoever comes first.
workqueue& common_queue();

// Queues and waits in its constructor and in its destructor.
class static_user {
 public:
  static_user(workqueue& own, const char* name) : own_{own} {
    if (first_initialised == nullptr) first_initialised = name;
    use();
    users_made.fetch_add(1);
  }
  ~static_user() {
    use();
    users_destroyed.fetch_add(1);
  }
  static_user(const static_user&) = delete;
  static_user& operator=(const static_user&) = delete;

 private:
  void use() {
    workqueue brief{{.name = "brief"}};
    const int before = runs.load();
    int expected = before;
    for (workqueue* queue : {&own_, &common_queue(), &brief}) {
      for (int i = 0; i < 100; ++i) demand(queue->submit([] { runs.fetch_add(1); }), "a closure was refused");
      demand(queue->queue(item_), "an item was refused");
      demand(queue->queue_delayed(delayed_, std::chrono::hours{1}), "a delayed item was refused");
      demand(delayed_.flush(), "the delayed item was not pending");
      demand(queue->flush(), "flush gave up");
      expected += 102;
    }
    demand(runs.load() == expected, "not everything ran");
  }

  workqueue& own_;
  work item_{[] { runs.fetch_add(1); }};
  delayed_work delayed_{[] { runs.fetch_add(1); }};
};

}  // namespace wring::test
