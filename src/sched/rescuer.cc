// SPDX-License-Identifier: Apache-2.0

#include "sched/rescuer.h"

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace wring::sched {

namespace {

// After so many items it looks whether it is wanted elsewhere, and whether the pool goes on by itself.
constexpr unsigned items_per_turn = 16;

// Left for the frames below; what is above has been in use.
constexpr std::size_t stack_margin = std::size_t{32} << 10;

// The whole stack, page by page, so that no page of it has to be found when memory is short.
[[gnu::noinline]] void touch_stack(std::uintptr_t low) noexcept {
  volatile char page[4096];
  page[0] = 0;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (here > low + stack_margin + sizeof page) touch_stack(low);
  page[sizeof page - 1] = 0;  // after the call, so that it stays one
}

}  // namespace

rescuer::rescuer(std::string_view name, std::size_t stack_bytes, const worker_pool& home)
    : thread_name_{"wring/R-" + std::string{name}}, stack_bytes_{stack_bytes}, home_{home} {}

void rescuer::dismiss() noexcept {
  stop();
  for_each_duty([](rescue_duty& d) {
    d.of.rescue = nullptr;
    if (d.seat != nullptr) d.pool.give_back(*d.seat);
  });
}

int rescuer::add(source& s, worker_pool& pool) {
  worker* const seat = pool.take_seat();
  if (seat == nullptr) return -EAGAIN;
  try {
    duties_.emplace_back(*this, s, pool, seat, newest_.load(base::order::relaxed));
  } catch (...) {
    pool.give_back(*seat);
    throw;
  }
  s.rescue = &duties_.back();
  newest_.store(&duties_.back(), base::order::release);  // pairs with for_each_duty()
  return 0;
}

int rescuer::create() noexcept {
  return base::thread_create(thread_, {.name = thread_name_.c_str(), .stack_bytes = stack_bytes_}, main, this);
}

int rescuer::start() noexcept {
  if (home_.starts_later()) return 0;
  {
    const base::lock_guard lock{thread_mu_};
    if (stopping_.load(base::order::relaxed)) return 0;
    if (!thread_.joinable()) {
      if (const int error = create(); error != 0) return error;
    }
  }
  ready_.wait();
  return 0;
}

void rescuer::stop() noexcept {
  const base::lock_guard lock{thread_mu_};
  stopping_.store(true, base::order::relaxed);  // ordered by the parker
  if (!thread_.joinable()) return;
  parker_.unpark();
  base::thread_join(thread_);
}

void rescuer::renew_in_child() noexcept {
  std::construct_at(&thread_mu_, base::rank::leaf);
  std::construct_at(&thread_);
  std::construct_at(&ready_);
  std::construct_at(&parker_);
  stopping_.store(false, base::order::relaxed);
  for_each_duty([](rescue_duty& d) {
    d.called.store(false, base::order::relaxed);
    d.of.rescue = &d;
    d.seat = d.pool.take_seat();
  });
}

void rescuer::call(rescue_duty& d) noexcept {
  if (d.seat == nullptr || d.called.exchange(true, base::order::release)) return;  // pairs with run()
  base::sometimes("a rescuer was called");
  {
    const base::lock_guard lock{thread_mu_};
    if (!thread_.joinable() && create() != 0) {  // a forked child
      d.called.store(false, base::order::relaxed);
      return;
    }
  }
  d.maydays.fetch_add(1, base::order::relaxed);
  parker_.unpark();
}

void rescuer::main(void* self) {
  if constexpr (!base::simulated) {
    if (const std::uintptr_t low = base::thread_stack().low; low != 0) touch_stack(low);  // 0: it is not known
  }
  auto& r = *static_cast<rescuer*>(self);
  r.ready_.complete();
  r.run();
}

bool rescuer::is_called_beside(const rescue_duty& served) const noexcept {
  bool called = false;
  for_each_duty([&](const rescue_duty& d) { called |= &d != &served && d.called.load(base::order::relaxed); });
  return called;
}

void rescuer::run() noexcept {
  for (;;) {
    home_.host();
    parker_.park();
    if (stopping_.load(base::order::relaxed)) return;
    for (bool again = true; again;) {
      again = false;
      for_each_duty([&](rescue_duty& d) {
        if (d.called.exchange(false, base::order::acquire)) again |= rescue(d);  // pairs with call()
      });
    }
  }
}

// True: the source has more, but another one waits as well (WQ-111).
bool rescuer::rescue(rescue_duty& d) noexcept {
  worker& w = *d.seat;
  worker::set_current(&w);
  w.thread_id.store(base::thread_id(), base::order::relaxed);
  w.cpu.begin(base::cpu_time_of(base::thread_id()));
  d.pool.settle(w);
  bool again = false;
  for (unsigned items = 1; d.pool.exhausted() && d.pool.withdraw(d.of); ++items) {
    d.of.serve(w);
    if (worker::current() != &w) std::exit(EXIT_SUCCESS);  // as in worker_pool::run()
    base::sometimes("a rescuer was of use");
    if (items % items_per_turn != 0) continue;
    again = is_called_beside(d);
    if (again) d.called.store(true, base::order::relaxed);
    if (again || d.pool.moves_again()) break;
  }
  worker::set_current(nullptr);
  return again;
}

}  // namespace wring::sched
