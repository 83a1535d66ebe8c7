// SPDX-License-Identifier: Apache-2.0
// owner: pools that belong to threads, are made at their first call and end with them (IOWQ-14, IOWQ-U13).

#include "base/thread_exit.h"
#include "iowq/hash_domain.h"
#include "iowq/pool.h"

#include <wring/io_pool.h>

#include <memory>
#include <system_error>
#include <vector>

namespace wring {

namespace {

// The pools of one thread, one of each domain that it has asked; few.
struct own_pools {
  struct entry {
    const iowq::domain* of;
    io_pool pool;
  };
  std::vector<std::unique_ptr<entry>> all;
  std::uint32_t forks = base::fork_generation();
};

using slot = base::thread_slot<own_pools, own_pools>;

void end_own_pools(void* own) {
  const std::unique_ptr<own_pools> mine{static_cast<own_pools*>(own)};
  slot::get() = nullptr;  // destructors that come later begin anew
  for (auto& e : mine->all) static_cast<void>(e->pool.cancel_all());
}

own_pools& pools_of_this_thread() {
  if (slot::get() == nullptr) {
    auto made = std::make_unique<own_pools>();
    base::at_thread_exit(end_own_pools, made.get());
    slot::get() = made.release();
  }
  own_pools& own = *slot::get();
  if (own.forks != base::fork_generation()) {  // the parent's
    own.all.clear();
    own.forks = base::fork_generation();
  }
  return own;
}

}  // namespace

hash_domain::hash_domain() : hash_domain{runtime::default_instance()} {}
hash_domain::hash_domain(runtime& where) : impl_{std::make_shared<iowq::domain>(where.core())} {}

io_pool& hash_domain::this_threads_pool() {
  own_pools& own = pools_of_this_thread();
  for (auto& e : own.all) {
    if (e->of == impl_.get()) return e->pool;  // it holds the domain, so no other one has this address
  }
  if (impl_->outlives_its_runtime()) iowq::refuse_after_its_runtime("this_threads_pool()");
  std::string name;
  io_pool_options options = impl_->options(name);
  options.name = name;
  options.domain = this;
  own.all.push_back(std::make_unique<own_pools::entry>(
      own_pools::entry{impl_.get(), io_pool{std::make_unique<iowq::pool>(impl_->home(), options, impl_, true)}}));
  return own.all.back()->pool;
}

void hash_domain::set_options(const io_pool_options& options) { impl_->set_options(options); }
io_limits hash_domain::max_workers(io_limits wanted) { return impl_->max_workers(wanted); }
void hash_domain::set_affinity(const std::vector<unsigned>& cpus) { impl_->set_affinity(cpus); }
std::uint64_t hash_domain::busy() const noexcept { return impl_->busy(); }

namespace iowq {

void refuse_after_its_runtime(const char* call) {
  throw std::system_error{std::make_error_code(std::errc::operation_canceled),
                          std::string{"wring: "} + call + " of a hash_domain whose runtime is gone"};
}

void domain::set_options(const io_pool_options& options) {
  const io_pool_options& good = valid(options);
  std::string name{good.name};
  if (good.profile != io_profile::task) {
    throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                            "wring::hash_domain::set_options(): profile is node, and no thread has such a pool"};
  }
  const base::lock_guard lock{mu_};
  options_ = good;
  options_.name = {};
  options_.domain = nullptr;
  options_.user = nullptr;
  name_ = std::move(name);
}

io_pool_options domain::options(std::string& name) const {
  const base::lock_guard lock{mu_};
  name = name_;
  return options_;
}

}  // namespace iowq

}  // namespace wring
