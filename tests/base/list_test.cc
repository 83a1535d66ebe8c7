// SPDX-License-Identifier: Apache-2.0
// list: the intrusive list against std::deque, and the push stack under real threads.
#include "base/list.h"

#include "base/crew.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <vector>

namespace wring::base {
namespace {

struct node {
  node* next = nullptr;
  node* prev = nullptr;
  int value = 0;
};

using nodes = list<node>;

// Both directions, so that a wrong prev shows.
void expect_same(const nodes& l, const std::deque<node*>& model) {
  std::vector<const node*> forward;
  std::vector<const node*> backward;
  for (node* n = l.front(); n != nullptr; n = nodes::next(*n)) forward.push_back(n);
  for (node* n = l.back(); n != nullptr; n = nodes::prev(*n)) backward.push_back(n);
  std::reverse(backward.begin(), backward.end());
  const std::vector<const node*> expected(model.begin(), model.end());
  ASSERT_EQ(forward, expected);
  ASSERT_EQ(backward, expected);
  ASSERT_EQ(l.empty(), model.empty());
}

// Method: 20,000 random operations; after each one the whole list is compared with the model.
TEST(list, does_what_a_deque_of_pointers_does) {
  std::mt19937 random{7};
  std::array<node, 24> all;
  std::vector<node*> outside;
  for (node& n : all) outside.push_back(&n);
  nodes l;
  std::deque<node*> model;
  for (int round = 0; round < 20'000; ++round) {
    const auto dice = random() % 7;
    if (dice < 3 && !outside.empty()) {
      node& n = *outside.back();
      outside.pop_back();
      if (dice == 0) {
        l.push_back(n);
        model.push_back(&n);
      } else if (dice == 1 || model.empty()) {
        l.push_front(n);
        model.push_front(&n);
      } else {
        const auto where = static_cast<std::ptrdiff_t>(random() % model.size());
        l.insert_after(*model[static_cast<std::size_t>(where)], n);
        model.insert(model.begin() + where + 1, &n);
      }
    } else if (dice == 3) {
      node* const n = l.pop_front();
      ASSERT_EQ(n, model.empty() ? nullptr : model.front());
      if (n != nullptr) model.pop_front(), outside.push_back(n);
    } else if (dice == 4) {
      node* const n = l.pop_back();
      ASSERT_EQ(n, model.empty() ? nullptr : model.back());
      if (n != nullptr) model.pop_back(), outside.push_back(n);
    } else if (!model.empty()) {
      const auto where = static_cast<std::ptrdiff_t>(random() % model.size());
      node* const n = model[static_cast<std::size_t>(where)];
      l.remove(*n);
      model.erase(model.begin() + where);
      outside.push_back(n);
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(l, model));
  }
}

TEST(list, append_moves_all_and_leaves_the_other_empty) {
  std::array<node, 4> n;
  nodes a;
  nodes b;
  a.append(b);
  expect_same(a, {});
  b.push_back(n[0]);
  b.push_back(n[1]);
  a.append(b);
  expect_same(a, {&n[0], &n[1]});
  expect_same(b, {});
  b.push_back(n[2]);
  a.append(b);
  expect_same(a, {&n[0], &n[1], &n[2]});
}

TEST(list, append_chain_takes_elements_that_are_linked_already) {
  std::array<node, 3> n;
  n[1].next = &n[2];
  n[2].prev = &n[1];
  nodes l;
  l.append_chain(n[1], n[2]);
  expect_same(l, {&n[1], &n[2]});
  nodes k;
  k.push_back(n[0]);
  n[1] = n[2] = {};
  n[1].next = &n[2];
  n[2].prev = &n[1];
  k.append_chain(n[1], n[2]);
  expect_same(k, {&n[0], &n[1], &n[2]});
}

TEST(push_stack, hands_out_everything_newest_first) {
  std::array<node, 3> n;
  push_stack<node> stack;
  EXPECT_TRUE(stack.empty());
  EXPECT_EQ(stack.grab(), nullptr);
  for (node& each : n) stack.push(each);
  EXPECT_FALSE(stack.empty());
  EXPECT_EQ(stack.grab(), &n[2]);
  EXPECT_EQ(n[2].next, &n[1]);
  EXPECT_EQ(n[1].next, &n[0]);
  EXPECT_EQ(n[0].next, nullptr);
  EXPECT_TRUE(stack.empty());
}

// Method: two threads push, one grabs; `value` is plain data, so the thread sanitizer sees a missing order.
TEST(push_stack, every_element_comes_out_once_and_in_the_order_of_its_pusher) {
  constexpr std::size_t per_thread = 20'000;
  std::vector<node> n(2 * per_thread);
  push_stack<node> stack;
  std::array<int, 2> last{-1, -1};
  std::size_t taken = 0;
  test::run_crew<3>([&](std::size_t me) {
    if (me < 2) {
      for (std::size_t i = 0; i < per_thread; ++i) {
        node& mine = n[me * per_thread + i];
        mine.value = static_cast<int>(i);
        stack.push(mine);
      }
      return;
    }
    while (taken < n.size()) {
      node* chain = nullptr;
      for (node* each = stack.grab(); each != nullptr;) {
        node* const next = each->next;
        each->next = chain;
        chain = each;
        each = next;
      }
      if (chain == nullptr) yield();
      for (; chain != nullptr; chain = chain->next, ++taken) {
        const auto from = static_cast<std::size_t>(chain - n.data()) / per_thread;
        ASSERT_EQ(chain->value, last[from] + 1);
        last[from] = chain->value;
      }
    }
  });
  EXPECT_EQ(taken, n.size());
  EXPECT_TRUE(stack.empty());
}

}  // namespace
}  // namespace wring::base
