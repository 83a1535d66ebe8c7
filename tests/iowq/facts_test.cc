// SPDX-License-Identifier: Apache-2.0
// What is left of the facts: the end of a thread, and forks (IOWQ-U13, IOWQ-U16).
#include "iowq/facts.h"

#include <pthread.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace wring::test {
namespace {

// What happened, in order.
std::vector<std::string>& log_of_ends() {
  static std::vector<std::string> lines;
  return lines;
}

struct noted_end {
  const char* text;
  ~noted_end() { log_of_ends().emplace_back(text); }
};

// IOWQ-U13. So the end of a pool, in such a destructor, may use what thread-local variables made before it own, and
// must not rely on later ones; a key's destructor comes after all of them.
TEST(threads, end_with_the_destructors_of_thread_local_variables_newest_first_and_then_those_of_keys) {
  log_of_ends().clear();
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, [](void*) { log_of_ends().emplace_back("key"); }), 0);
  std::thread{[key] {
    static char set;
    ::pthread_setspecific(key, &set);
    thread_local noted_end first{"first"};
    thread_local noted_end second{"second"};
    static_cast<void>(first);
    static_cast<void>(second);
  }}.join();
  ::pthread_key_delete(key);
  EXPECT_EQ(log_of_ends(), (std::vector<std::string>{"second", "first", "key"}));
}

// IOWQ-U13. Method: the thread of main() is another matter than a thread that ends: its variables end with exit().
TEST(threads, that_end_by_pthread_exit_run_the_destructors_too) {
  log_of_ends().clear();
  pthread_t thread{};
  ASSERT_EQ(::pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  thread_local noted_end only{"only"};
                  static_cast<void>(only);
                  ::pthread_exit(nullptr);
                },
                nullptr),
            0);
  ::pthread_join(thread, nullptr);
  EXPECT_EQ(log_of_ends(), std::vector<std::string>{"only"});
}

// IOWQ-U13. A thread may be waited for, and others made, in the destructor of a thread-local variable.
TEST(threads, may_make_and_join_others_while_they_end) {
  static std::atomic<int> ran{0};
  ran.store(0);
  struct late {
    ~late() {
      std::thread{[] { ran.fetch_add(1); }}.join();
    }
  };
  std::thread{[] {
    thread_local late at_the_end;
    static_cast<void>(at_the_end);
  }}.join();
  EXPECT_EQ(ran.load(), 1);
}

// IOWQ-U16. Method: a thread that waits while another one forks.
TEST(forks, leave_the_child_with_one_thread_and_no_destructor_of_the_others) {
  log_of_ends().clear();
  gate made;
  gate done;
  std::thread other{[&] {
    thread_local noted_end end{"end"};
    static_cast<void>(end);
    made.open();
    done.wait();
  }};
  made.wait();
  in_a_child([](claims& c) {
    c.check(entries_of("/proc/self/task").size() == 1, "it has one thread");
    c.check(log_of_ends().empty(), "the other one did not end, it was never there");
  });
  done.open();
  other.join();
}

}  // namespace
}  // namespace wring::test
