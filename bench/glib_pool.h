// SPDX-License-Identifier: Apache-2.0
// glib_pool: GThreadPool, exclusive and of a fixed size, or shared and without a limit.
//
// A pool runs one function on pointers, so a caller-owned item is a pointer to it; a closure is allocated. GLib
// has no default size: every caller names one. Without a limit it starts a thread for each item that finds no
// idle one.
#pragma once

#include <glib.h>

#include <limits>
#include <type_traits>
#include <utility>

namespace bench {

class glib_pool {
 public:
  static constexpr unsigned unlimited = std::numeric_limits<unsigned>::max();
  static constexpr unsigned default_threads(unsigned cpus) { return cpus; }

  explicit glib_pool(unsigned threads)
      : pool_{threads == unlimited ? g_thread_pool_new(&run, nullptr, -1, FALSE, nullptr)
                                   : g_thread_pool_new(&run, nullptr, static_cast<int>(threads), TRUE, nullptr)} {}
  ~glib_pool() { g_thread_pool_free(pool_, FALSE, TRUE); }
  glib_pool(const glib_pool&) = delete;
  glib_pool& operator=(const glib_pool&) = delete;

  template <class F>
  void submit(F&& function) {
    using box = closure<std::decay_t<F>>;
    push(*new box{{&box::run_and_free}, std::forward<F>(function)});
  }

  struct entry {
    void (*call)(entry& self);
  };

  // What the caller owns; lives until it has run.
  template <class F>
  struct item : entry {
    explicit item(F f) : entry{[](entry& self) { static_cast<item&>(self).function(); }}, function{std::move(f)} {}
    F function;
  };

  void post(entry& it) { push(it); }

 private:
  template <class F>
  struct closure : entry {
    static void run_and_free(entry& self) {
      closure* const mine = static_cast<closure*>(&self);
      mine->function();
      delete mine;
    }
    F function;
  };

  static void run(void* data, void*) {
    entry& it = *static_cast<entry*>(data);
    it.call(it);
  }

  void push(entry& it) { g_thread_pool_push(pool_, &it, nullptr); }

  GThreadPool* pool_;
};

}  // namespace bench
