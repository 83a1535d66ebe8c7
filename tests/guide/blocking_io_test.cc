// SPDX-License-Identifier: Apache-2.0
// The claims of docs/guide/07-blocking-io.md, which quotes the marked parts.
#include "support/temporary_folder.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using wring::test::eventually;
using wring::test::gate;
using wring::test::temporary_folder;
using wring::test::test_runtime;

class pipe_of_a_test {
 public:
  pipe_of_a_test() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~pipe_of_a_test() {
    for (const int fd : ends_) ::close(fd);
  }
  pipe_of_a_test(const pipe_of_a_test&) = delete;
  pipe_of_a_test& operator=(const pipe_of_a_test&) = delete;
  [[nodiscard]] int out() const { return ends_[0]; }
  [[nodiscard]] int in() const { return ends_[1]; }

 private:
  std::array<int, 2> ends_{};
};

int open_file(const std::string& name, int flags = O_RDONLY) { return ::open(name.c_str(), flags | O_CLOEXEC, 0600); }

// IOWQ-14, IOWQ-92.
TEST(blocking_io, a_pool_has_threads_while_it_needs_them) {
  test_runtime rt;
  temporary_folder folder;
  folder.write("greeting", "hello");
  const int fd = open_file(folder.path("greeting"));
  // [pool]
  wring::io_pool files{rt, {.name = "files"}};  // no thread yet

  wring::future<std::string> text = files.submit_for_result({}, [fd](wring::io_call& call) {
    std::string all(5, '\0');
    const ssize_t bytes = call.pread(fd, all.data(), all.size(), 0);  // announced, and can be interrupted
    if (bytes < 0) throw std::system_error{static_cast<int>(-bytes), std::system_category()};
    return all;
  });
  EXPECT_EQ(text.get(), "hello");
  // [/pool]
  ::close(fd);
}

// IOWQ-20, IOWQ-21. Method: reads that never end, as many as there may be, and behind them more.
TEST(blocking_io, what_may_last_for_ever_does_not_hold_up_what_ends) {
  test_runtime rt;
  pipe_of_a_test pipe;
  const auto wait_for_a_byte = [&](wring::io_call& call) {
    char byte = 0;
    call.read(pipe.out(), &byte, 1);
  };
  // [kinds]
  wring::io_pool pool{rt, {.name = "both", .bounded = 4, .unbounded = 2}};
  for (int i = 0; i < 10; ++i) pool.submit({.unbounded = true}, wait_for_a_byte);  // two of them wait in their read
  EXPECT_EQ(pool.submit_for_result({}, [] { return 1; }).get(), 1);                // bounded: runs at once
  // [/kinds]
  EXPECT_LE(pool.stats().unbounded.workers, 2U);
}

// IOWQ-50..52. Method: appends of three threads' worth of items, each a line; the order tells.
TEST(blocking_io, a_key_keeps_writes_to_one_file_apart_and_in_order) {
  test_runtime rt;
  temporary_folder folder;
  const int log = open_file(folder.path("log"), O_RDWR | O_CREAT | O_APPEND);
  {
    wring::io_pool pool{rt, {.name = "log"}};
    // [key]
    struct log_file {
      int fd;
    } file{log};
    for (const char* const part : {"one", " after", " another"}) {
      pool.submit({.key = &file}, [&file, text = std::string{part}](wring::io_call& call) {
        call.write(file.fd, text.data(), text.size());
      });
    }
    // [/key]
    EXPECT_TRUE(pool.end(1h));
  }
  std::array<char, 64> text{};
  const ssize_t bytes = ::pread(log, text.data(), text.size(), 0);
  EXPECT_EQ(std::string(text.data(), static_cast<std::size_t>(bytes)), "one after another");
  ::close(log);
}

// IOWQ-61.
TEST(blocking_io, a_chain_stops_at_the_first_that_fails) {
  test_runtime rt;
  wring::io_pool pool{rt, {.name = "links"}};
  int closed = 0;
  // [chain]
  wring::io_task write{{}, [] { return -EIO; }};  // as a write that fails
  wring::io_task sync{{}, [] { return 0; }};
  wring::io_task close{{}, [&closed] { ++closed; }};
  write.then(sync).then_anyway(close);
  pool.enqueue(write);  // which enqueues the others, each when the one before it is over
  close.wait();
  EXPECT_EQ(write.value(), -EIO);
  EXPECT_EQ(sync.value(), -ECANCELED);  // did not run
  EXPECT_EQ(closed, 1);                 // ran all the same
  // [/chain]
}

// IOWQ-80, IOWQ-82.
TEST(blocking_io, a_call_that_waits_can_be_cancelled) {
  test_runtime rt;
  pipe_of_a_test pipe;
  const int fd = pipe.out();
  wring::io_pool pool{rt, {.name = "cancel"}};
  // [cancel]
  gate entered;
  wring::future<ssize_t> got = pool.submit_for_result({.unbounded = true, .tag = &pipe}, [&](wring::io_call& call) {
    entered.open();
    char byte = 0;
    return call.read(fd, &byte, 1);
  });
  entered.wait();
  EXPECT_EQ(pool.cancel_tagged(&pipe), wring::io_cancel::running);  // told, and interrupted
  EXPECT_EQ(got.get(), -ECANCELED);  // the call has ended; what was not read is still there
  // [/cancel]
}

// IOWQ-82. Method: as a library function that waits in a call of its own.
TEST(blocking_io, calls_of_libraries_can_be_interrupted_too) {
  test_runtime rt;
  pipe_of_a_test pipe;
  const int fd = pipe.out();
  wring::io_pool pool{rt, {.name = "libraries"}};
  int error = 0;
  gate entered;
  // [library]
  wring::io_task wait{{.unbounded = true}, [&](wring::io_call& call) {
                        entered.open();
                        call.interruptible([&] {
                          char byte = 0;
                          if (::read(fd, &byte, 1) < 0) error = errno;  // a function that ends with EINTR
                        });
                      }};
  pool.enqueue(wait);
  // [/library]
  entered.wait();
  wait.cancel();
  wait.wait();
  EXPECT_TRUE(error == EINTR || error == 0) << "zero: it was cancelled before it began to read";
}

// [connection]
class connection {
 public:
  connection(wring::io_pool& pool, int fd) : fd_{fd} { pool.enqueue(reader_); }
  [[nodiscard]] long bytes() const { return bytes_; }

 private:
  long serve(wring::io_call& call) {
    std::array<char, 512> part{};
    for (;;) {
      const ssize_t got = call.read(fd_, part.data(), part.size());
      if (got <= 0) return got;  // the end, an error, or -ECANCELED
      bytes_ += got;
    }
  }

  const int fd_;
  std::atomic<long> bytes_{0};
  // Last: its destructor cancels, which ends the read, and waits.
  wring::io_task reader_{{.unbounded = true}, [this](wring::io_call& call) { return serve(call); }};
};
// [/connection]

// IOWQ-64, IOWQ-82.
TEST(blocking_io, the_end_of_a_task_ends_its_call) {
  test_runtime rt;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  wring::io_pool pool{rt, {.name = "peers"}};
  {
    const connection peer{pool, ends[0]};
    EXPECT_EQ(::write(ends[1], "hello", 5), 5);
    eventually([&] { return peer.bytes() == 5; });
  }  // the reader waits for more, and is over here
  for (const int fd : ends) ::close(fd);
}

// IOWQ-70, IOWQ-71. Method: parts that need no right, where the thread may have places of its own.
TEST(blocking_io, an_item_can_run_as_its_submitter) {
  constexpr wring::identity_part places = wring::identity_part::folder | wring::identity_part::umask;
  if (!wring::identity::supported(places)) GTEST_SKIP() << "threads may not have places of their own here";
  test_runtime rt;
  wring::io_pool pool{rt, {.name = "who"}};
  // [capture]
  const wring::identity me = wring::identity::capture().value();  // once, and again when it has changed
  wring::future<std::string> where = pool.submit_for_result({.as = me}, [] {
    return std::filesystem::current_path().string();  // and what it makes has the submitter's umask and belongs to him
  });
  EXPECT_EQ(where.get(), std::filesystem::current_path().string());
  // [/capture]
}

// IOWQ-72. Method: as whoever runs the test; a user that may not is refused, one that may is another.
TEST(blocking_io, an_item_never_runs_as_somebody_else) {
  test_runtime rt;
  wring::io_pool pool{rt, {.name = "client"}};
  temporary_folder folder;
  folder.write("secret", "x");
  const std::string file = folder.path("secret");
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  // [client]
  const wring::identity client = wring::identity::make({.user = 61'240, .group = 61'240}).value();
  wring::future<int> opened = pool.submit_for_result({.as = client}, [&] { return ::open(file.c_str(), O_RDONLY); });
  try {
    EXPECT_EQ(opened.get(), -1);  // the client may not read it
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EPERM);  // this process may not act for the client; the item did not run
  }
  // [/client]
}

// IOWQ-12, IOWQ-22.
TEST(blocking_io, a_pool_of_nodes_charges_a_user) {
  test_runtime rt;
  pipe_of_a_test pipe;
  // [node]
  const wring::io_user clients{100};  // so many workers for what may last for ever, over all pools that name it
  wring::io_pool shared{rt, {.name = "shared", .profile = wring::io_profile::node, .user = &clients}};

  shared.submit({.unbounded = true}, [&](wring::io_call& call) {
    char byte = 0;
    call.read(pipe.out(), &byte, 1);
  });
  eventually([&] { return clients.charged() == 1; });
  EXPECT_EQ(shared.submit_for_result([] { return 7; }).get(), 7);  // the manager has made another worker
  // [/node]
}

// IOWQ-25, IOWQ-100.
TEST(blocking_io, limits_may_change) {
  test_runtime rt;
  // [limits]
  wring::io_pool pool{rt, {.name = "limits", .bounded = 8, .unbounded = 64}};
  const wring::io_limits before = pool.max_workers({.bounded = 16});  // 0: as it is
  EXPECT_EQ(before.bounded, 8U);
  EXPECT_EQ(pool.max_workers({}).bounded, 16U);
  EXPECT_EQ(pool.max_workers({}).unbounded, 64U);
  // [/limits]
}

// IOWQ-90, IOWQ-92. Method: an item that cannot be interrupted, until it is let go.
TEST(blocking_io, an_end_has_a_limit_and_says_who_stays) {
  test_runtime rt;
  gate leave;
  gate entered;
  static const char copying = 0;
  // [end]
  wring::io_pool pool{rt, {.name = "copies"}};
  pool.submit({.tag = &copying}, [&] {
    entered.open();
    leave.wait();
  });
  entered.wait();
  EXPECT_FALSE(pool.end(10ms));      // an item has not ended
  EXPECT_FALSE(pool.submit([] {}));  // and nothing is taken any more
  for (const wring::io_worker_stats& worker : pool.stats().workers) EXPECT_EQ(worker.tag, &copying);
  leave.open();
  EXPECT_TRUE(pool.end(1h));  // no thread is left
  // [/end]
  EXPECT_EQ(wring::test::threads_named("io-wrk"), 0U);
}

// IOWQ-14, IOWQ-U13. Method: threads that come and go, and a file that all of them write to.
TEST(blocking_io, threads_have_pools_of_their_own) {
  test_runtime rt;
  std::atomic<int> inside{0};
  std::atomic<int> met{0};
  // [threads]
  wring::hash_domain files{rt};
  const int file = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      wring::io_pool& own = files.this_threads_pool();  // the same at each call; it ends with the thread
      own.submit_for_result({.key = &file}, [&] { met += inside++, inside--; }).get();
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(met, 0);  // in whatever pool, two items of one key never meet
  // [/threads]
}

// IOWQ-111. Method: one item waits inside, so what the snapshot shows is certain.
TEST(blocking_io, stats_show_who_waits_in_what) {
  test_runtime rt;
  pipe_of_a_test pipe;
  wring::io_pool pool{rt, {.name = "seen"}};
  // [stats]
  pool.submit({.unbounded = true, .tag = &pipe}, [&](wring::io_call& call) {
    char byte = 0;
    call.read(pipe.out(), &byte, 1);
  });
  eventually([&] { return pool.stats().unbounded.blocked == 1; });
  const wring::io_pool_stats now = pool.stats();
  EXPECT_EQ(now.unbounded.workers, 1U);
  EXPECT_EQ(now.unbounded.created.enqueue, 1U);
  EXPECT_EQ(now.workers.front().tag, &pipe);
  EXPECT_EQ(now.workers.front().state, wring::io_worker_stats::state_kind::blocked);
  // [/stats]
}

}  // namespace
