// A doubly linked list whose links lie in its elements: O(1) removal, no allocation, no ownership.
#pragma once

#include <cstddef>

namespace holdfast::locks {

template <class T>
struct ListLink {
  T* previous = nullptr;
  T* next = nullptr;
};

// T has an array `links` of ListLink<T>; `kLink` says which of them this list uses.
template <class T, size_t kLink>
class IntrusiveList {
 public:
  bool empty() const { return front_ == nullptr; }
  T* front() const { return front_; }
  static T* next(const T* element) { return element->links[kLink].next; }

  void push_back(T* element) {
    element->links[kLink] = {back_, nullptr};
    (back_ != nullptr ? back_->links[kLink].next : front_) = element;
    back_ = element;
  }
  // `element` is in this list.
  void remove(T* element) {
    ListLink<T>& link = element->links[kLink];
    (link.previous != nullptr ? link.previous->links[kLink].next : front_) = link.next;
    (link.next != nullptr ? link.next->links[kLink].previous : back_) = link.previous;
    link = {};
  }

 private:
  T* front_ = nullptr;
  T* back_ = nullptr;
};

}  // namespace holdfast::locks
