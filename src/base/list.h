// SPDX-License-Identifier: Apache-2.0
// list: intrusive doubly linked lists, and the lock-free stack into which publishers push.
//
// A list does not own its elements. `Links` says where an element keeps its pointers, so that elements of
// public headers need no base class.
// Threads: list: the owner's lock guards it. push_stack: push() any thread, grab() any thread.
#pragma once

#include "base/sync.h"

namespace wring::base {

// Links for elements that have members `next` and `prev`.
template <class T>
struct member_links {
  static T*& next(T& t) noexcept { return t.next; }
  static T*& prev(T& t) noexcept { return t.prev; }
};

template <class T, class Links = member_links<T>>
class list {
 public:
  constexpr list() noexcept = default;
  list(const list&) = delete;
  list& operator=(const list&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] T* front() const noexcept { return head_; }
  [[nodiscard]] T* back() const noexcept { return tail_; }
  static T* next(T& t) noexcept { return Links::next(t); }
  static T* prev(T& t) noexcept { return Links::prev(t); }

  void push_back(T& t) noexcept { link(tail_, t, nullptr); }
  void push_front(T& t) noexcept { link(nullptr, t, head_); }
  void insert_after(T& where, T& t) noexcept { link(&where, t, Links::next(where)); }

  void remove(T& t) noexcept {
    T* const n = Links::next(t);
    T* const p = Links::prev(t);
    (p != nullptr ? Links::next(*p) : head_) = n;
    (n != nullptr ? Links::prev(*n) : tail_) = p;
  }

  T* pop_front() noexcept {
    T* const t = head_;
    if (t != nullptr) {
      head_ = Links::next(*t);
      (head_ != nullptr ? Links::prev(*head_) : tail_) = nullptr;
    }
    return t;
  }

  T* pop_back() noexcept {
    T* const t = tail_;
    if (t != nullptr) remove(*t);
    return t;
  }

  // Moves all elements of `other` behind the own ones.
  void append(list& other) noexcept {
    if (other.empty()) return;
    if (empty()) {
      head_ = other.head_;
    } else {
      Links::next(*tail_) = other.head_;
      Links::prev(*other.head_) = tail_;
    }
    tail_ = other.tail_;
    other.head_ = other.tail_ = nullptr;
  }

  // Appends a chain that is linked by next and prev already; `last`'s next must be null.
  void append_chain(T& first, T& last) noexcept {
    (tail_ != nullptr ? Links::next(*tail_) : head_) = &first;
    Links::prev(first) = tail_;
    tail_ = &last;
  }

 private:
  void link(T* before, T& t, T* after) noexcept {
    Links::prev(t) = before;
    Links::next(t) = after;
    (before != nullptr ? Links::next(*before) : head_) = &t;
    (after != nullptr ? Links::prev(*after) : tail_) = &t;
  }

  T* head_ = nullptr;
  T* tail_ = nullptr;
};

// Newest first. An element may be pushed again only after it was grabbed, so the classic ABA problem of
// such stacks cannot happen: nobody pops single elements.
template <class T, class Links = member_links<T>>
class push_stack {
 public:
  // seq_cst: publishers go on to read a state that parkers write before they look here (worker_pool, P1).
  void push(T& t) noexcept {
    T* head = head_.load(order::relaxed);
    do {
      Links::next(t) = head;
    } while (!head_.compare_exchange_weak(head, &t, WRING_PLANT(reordered_publish) ? order::relaxed : order::seq_cst,
                                          order::relaxed));  // pairs with grab()
  }
  [[nodiscard]] bool empty() const noexcept { return head_.load(order::seq_cst) == nullptr; }
  // All elements, newest first, linked by next.
  T* grab() noexcept {
    if (head_.load(order::relaxed) == nullptr) return nullptr;
    return head_.exchange(nullptr, order::acq_rel);  // acquire: pairs with push(); release: with empty()
  }

 private:
  atomic<T*> head_{nullptr};
};

}  // namespace wring::base
