// SPDX-License-Identifier: Apache-2.0
// io_pool: the public face of pool.h and hash_domain.h.

#include <wring/io_pool.h>

#include "iowq/hash_domain.h"
#include "iowq/item.h"
#include "iowq/pool.h"

#include <cerrno>
#include <new>
#include <system_error>

namespace wring {

void io_work::configure(const io_item_options& options) noexcept {
  using namespace iowq::item_word;
  state_ = (options.unbounded ? unbounded : 0) | (options.concurrent ? concurrent : 0) |
           (options.interruptible ? interruptible : 0);
  if (options.key != nullptr) {
    state_ |= hashed | std::uint64_t{hash_domain::bucket_of(options.key)} << bucket_shift;
  }
  tag_ = options.tag;
  as_ = options.as;
}

void io_work::cancel_before_enqueue() noexcept { state_ |= iowq::item_word::cancelled; }

void detail::io_closure_free(void* closure) noexcept { ::operator delete(closure); }

io_pool::io_pool(const io_pool_options& options) : io_pool{runtime::default_instance(), options} {}

io_pool::io_pool(runtime& where, const io_pool_options& options)
    : impl_{std::make_unique<iowq::pool>(
          where.core(), options,
          options.domain != nullptr ? options.domain->impl_ : std::make_shared<iowq::domain>(where.core()))} {}

io_pool::io_pool(std::unique_ptr<iowq::pool> impl) noexcept : impl_{std::move(impl)} {}
io_pool::io_pool(io_pool&&) noexcept = default;
io_pool::~io_pool() {
  if (impl_ != nullptr && impl_->caller_is_inside()) {
    impl_->home().report().misuse(
        "io_pool '" + impl_->name() +
        "' is destroyed from a callback of its own, which would wait for itself; it is leaked");
    static_cast<void>(impl_.release());
  }
}

result<io_pool> io_pool::create(const io_pool_options& options) {
  try {
    return io_pool{options};
  } catch (const std::system_error& e) {
    return e.code();
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

result<io_pool> io_pool::create(runtime& where, const io_pool_options& options) {
  try {
    return io_pool{where, options};
  } catch (const std::system_error& e) {
    return e.code();
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

bool io_pool::enqueue(io_work& item) noexcept { return impl_->enqueue(item); }
bool io_pool::enqueue(io_task& task) noexcept { return impl_->enqueue(task); }

void* io_pool::allocate(std::size_t bytes) { return ::operator new(bytes); }

bool io_pool::submit_closure(detail::io_closure_base& closure, const io_item_options& options) noexcept {
  closure.configure(options);
  iowq::set_kind(closure, iowq::item_kind::closure);
  return impl_->enqueue(closure);
}

io_cancel io_pool::cancel_if(bool (*match)(const io_work&, void*), void* context, io_which which) noexcept {
  return impl_->cancel({match, context}, which);
}

io_cancel io_pool::cancel_all() noexcept {
  return impl_->cancel({[](const io_work&, void*) { return true; }, nullptr}, io_which::all);
}

io_cancel io_pool::cancel_for_good() noexcept { return impl_->cancel_for_good(); }

io_limits io_pool::max_workers(io_limits wanted) { return impl_->max_workers(wanted); }
void io_pool::set_affinity(const std::vector<unsigned>& cpus) { impl_->set_affinity(cpus); }
void io_pool::exit_on_idle(bool leave) noexcept { impl_->exit_on_idle(leave); }
unsigned io_pool::run_notes() noexcept { return impl_->run_notes(); }
void io_pool::exit_start() noexcept { impl_->exit_start(); }
bool io_pool::end(std::chrono::nanoseconds limit) noexcept { return impl_->end(limit); }
io_pool_stats io_pool::stats() const { return impl_->stats(); }
std::string io_pool::describe() const { return impl_->describe(); }
void io_pool::audit() const { impl_->audit(); }
runtime& io_pool::owner() const noexcept { return impl_->home().owner(); }
hash_domain io_pool::domain() const noexcept { return hash_domain{impl_->shared_domain()}; }

}  // namespace wring
