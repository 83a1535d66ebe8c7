// SPDX-License-Identifier: Apache-2.0
// io_pool: what do threads for blocking calls cost?
//
// No-op items handed over, and there and back, against pools of one thread for each CPU; 64 writers of one file and of
// 64 files, with the file as the key and without, against naive pools of 4, 16 and 64 threads; and a cached read of 4
// KiB while the workers for unbounded items are full of reads that never end, against the same without them.
#include "contest.h"
#include "percentile.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <wring/io_pool.h>

#include <fcntl.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

constexpr const char* question = "what do threads for blocking calls cost, and do they keep out of each other's way?";

constexpr std::size_t block = 4096;

// An io_pool behind the face of the others.
class wring_io_pool {
 public:
  explicit wring_io_pool(unsigned threads) : runtime_{{.cpus = threads}}, pool_{runtime_, {.name = "bench"}} {}

  template <class F>
  void submit(F&& function) {
    pool_.submit(std::forward<F>(function));
  }
  template <class F>
  void submit_keyed(const void* key, F&& function) {
    pool_.submit({.key = key}, std::forward<F>(function));
  }
  [[nodiscard]] wring::io_pool& pool() noexcept { return pool_; }

 private:
  wring::runtime runtime_;
  wring::io_pool pool_;
};

// Without a key.
class wring_io_pool_unkeyed : public wring_io_pool {
 public:
  using wring_io_pool::wring_io_pool;
  template <class F>
  void submit_keyed(const void*, F&& function) {
    submit(std::forward<F>(function));
  }
};

class naive_writers : public naive_pool {
 public:
  using naive_pool::naive_pool;
  template <class F>
  void submit_keyed(const void*, F&& function) {
    submit(std::forward<F>(function));
  }
};

template <class Measure>
std::vector<contestant> on_all(Measure measure) {
  const unsigned cpus = planned_cpus();
  std::vector<contestant> all{on_pool<naive_pool>("naive", cpus, measure)};
#ifdef WRING_BENCH_ASIO
  all.push_back(on_pool<asio_pool>("asio", cpus, measure));
#endif
  all.push_back(on_pool<wring_io_pool>("wring", cpus, measure));
  return all;
}

// ---- no-op items ----

template <class Pool>
sample time_burst(Pool& pool, std::uint64_t items) {
  warm_up(pool);
  const tally before = tally::total();
  const stopwatch watch;
  for (std::uint64_t i = 0; i < items; ++i) pool.submit([i] { tally::hit(i); });
  const tally found = tally::await(before.executed + items) - before;
  return {found.executed, found.hash, {watch.wall_ns() / static_cast<double>(items)}};
}

workload burst(std::uint64_t items) {
  const tally expected = tally::of_range(0, items);
  return {"no-op items", {"ns/item"}, expected.executed, expected.hash, on_all([=](auto& pool) {
            return time_burst(pool, items);
          })};
}

template <class Pool>
sample time_starts(Pool& pool, std::uint64_t items) {
  warm_up(pool);
  const tally before = tally::total();
  std::vector<double> start(items);
  std::vector<double> trip(items);
  sem_t ran;
  sem_init(&ran, 0, 0);  // sleeps at once; std::binary_semaphore would spin first
  for (std::uint64_t i = 0; i < items; ++i) {
    const double submitted = now_ns();
    pool.submit([i, submitted, &start, &ran] {
      start[i] = now_ns() - submitted;
      tally::hit(i);
      sem_post(&ran);
    });
    while (sem_wait(&ran) != 0) {
    }
    trip[i] = now_ns() - submitted;
  }
  const tally found = tally::total() - before;
  return {found.executed,
          found.hash,
          {percentile(start, 0.5) / 1e3, percentile(start, 0.99) / 1e3, percentile(trip, 0.5) / 1e3}};
}

workload starts(std::uint64_t items) {
  const tally expected = tally::of_range(0, items);
  return {"one item at a time, the submitter sleeps",
          {"us start p50", "us start p99", "us trip p50"},
          expected.executed,
          expected.hash,
          on_all([=](auto& pool) { return time_starts(pool, items); })};
}

// ---- writers ----

constexpr std::uint64_t writers = 64;

// Files without names, each closed at the end.
class files {
 public:
  explicit files(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      fds_.push_back(::open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
      if (fds_.back() < 0) std::abort();
    }
  }
  ~files() {
    for (const int fd : fds_) ::close(fd);
  }
  files(const files&) = delete;
  files& operator=(const files&) = delete;
  [[nodiscard]] const int& operator[](std::size_t i) const noexcept { return fds_[i % fds_.size()]; }

 private:
  std::vector<int> fds_;
};

std::uint64_t context_switches() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_nvcsw + used.ru_nivcsw);
}

// Each writer's blocks, one behind the other, in turn with those of the others.
template <class Pool>
sample time_writers(Pool& pool, std::size_t file_count, std::uint64_t blocks) {
  warm_up(pool, 100);
  const files all{file_count};
  const std::array<char, block> data{};
  const tally before = tally::total();
  const std::uint64_t switches = context_switches();
  const stopwatch watch;
  const std::uint64_t items = writers * blocks;
  for (std::uint64_t i = 0; i < items; ++i) {
    const int& fd = all[i % writers];
    pool.submit_keyed(&fd, [i, fd, &data] {
      const auto offset = static_cast<off_t>(i * block);
      if (::pwrite(fd, data.data(), data.size(), offset) == static_cast<ssize_t>(data.size())) tally::hit(i);
    });
  }
  const tally found = tally::await(before.executed + items) - before;
  const auto count = static_cast<double>(items);
  return {found.executed,
          found.hash,
          {watch.wall_ns() / 1e3 / count, static_cast<double>(context_switches() - switches) / count}};
}

workload writing(const std::string& name, std::size_t file_count, std::uint64_t blocks) {
  const tally expected = tally::of_range(0, writers * blocks);
  const auto measure = [=](auto& pool) { return time_writers(pool, file_count, blocks); };
  return {name,
          {"us/write", "switches/write"},
          expected.executed,
          expected.hash,
          {on_pool<naive_writers>("naive 4", 4, measure), on_pool<naive_writers>("naive 16", 16, measure),
           on_pool<naive_writers>("naive 64", 64, measure),
           on_pool<wring_io_pool_unkeyed>("wring no key", planned_cpus(), measure),
           on_pool<wring_io_pool>("wring", planned_cpus(), measure)}};
}

// ---- a cached read beside endless ones ----

sample time_reads(wring_io_pool& bench, std::uint64_t items, bool full) {
  wring::io_pool& pool = bench.pool();
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) std::abort();
  constexpr unsigned endless = 64;
  pool.max_workers({.unbounded = endless});
  if (full) {
    for (unsigned i = 0; i < 2 * endless; ++i) {
      pool.submit({.unbounded = true}, [fd = pipe[0]](wring::io_call& call) {
        char byte = 0;
        call.read(fd, &byte, 1);
      });
    }
    while (pool.stats().unbounded.blocked != endless) ::usleep(1'000);
  }
  const files one{1};
  std::array<char, block> data{};
  if (::pwrite(one[0], data.data(), data.size(), 0) != static_cast<ssize_t>(data.size())) std::abort();
  const tally before = tally::total();
  std::vector<double> trip(items);
  sem_t ran;
  sem_init(&ran, 0, 0);
  for (std::uint64_t i = 0; i < items; ++i) {
    const double submitted = now_ns();
    pool.submit([&, i](wring::io_call& call) {
      if (call.pread(one[0], data.data(), data.size(), 0) == static_cast<ssize_t>(data.size())) tally::hit(i);
      sem_post(&ran);
    });
    while (sem_wait(&ran) != 0) {
    }
    trip[i] = now_ns() - submitted;
  }
  const tally found = tally::total() - before;
  pool.cancel_all();
  for (const int fd : pipe) ::close(fd);
  return {found.executed, found.hash, {percentile(trip, 0.5) / 1e3, percentile(trip, 0.99) / 1e3}};
}

workload reads(std::uint64_t items) {
  const tally expected = tally::of_range(0, items);
  const auto measure = [=](bool full) { return [=](wring_io_pool& pool) { return time_reads(pool, items, full); }; };
  return {"cached read, unbounded workers full",
          {"us p50", "us p99"},
          expected.executed,
          expected.hash,
          {on_pool<wring_io_pool>("wring alone", planned_cpus(), measure(false)),
           on_pool<wring_io_pool>("wring", planned_cpus(), measure(true))},
          {},
          {{.contestant = "wring", .metric = 0, .times = 1.1, .reference = "wring alone", .reference_metric = 0},
           {.contestant = "wring", .metric = 1, .times = 1.5, .reference = "wring alone", .reference_metric = 1}}};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  return bench::run_contest(
      options, "io_pool", bench::question,
      {bench::burst(options.quick ? 1'000 : 200'000), bench::starts(options.quick ? 20 : 10'000),
       bench::writing("64 writers, one file", 1, options.quick ? 4 : 500),
       bench::writing("64 writers, 64 files", 64, options.quick ? 4 : 500), bench::reads(options.quick ? 20 : 10'000)});
}
