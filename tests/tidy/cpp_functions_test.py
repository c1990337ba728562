"""The length limit is only as good as the finder of functions: its hard cases."""

import cpp_functions


def found(text):
    return list(cpp_functions.find(text))


def test_free_functions_and_methods_are_found_with_their_length():
    text = ("namespace a {\nint f(int x) {\n  return x;\n}\n"
            "struct S {\n  void g() const { h(); }\n};\n}\n")
    assert found(text) == [("f", 2, 3), ("g", 6, 1)]


def test_a_constructors_initialisers_are_part_of_it():
    text = "S::S(int a)\n    : a_(a),\n      b_{a},\n      c_{} {\n}\nvoid g() {\n}\n"
    assert found(text) == [("S::S", 1, 5), ("g", 6, 2)]


def test_lambdas_and_blocks_count_for_the_function_around_them():
    text = "void f() {\n  auto g = [](int x) {\n  };\n  if (g(1)) {\n  }\n}\n"
    assert found(text) == [("f", 1, 6)]


def test_tables_and_scopes_are_not_functions():
    text = ("enum class E { a, b };\nconst int kTable[] = {1,\n 2};\n"
            "class C final : public D {\n};\n")
    assert found(text) == []


def test_braces_in_strings_and_comments_do_not_count():
    text = ('void f() {\n  g("{{{", \'{\');  // {\n'
            '  /* { */ h(R"x({)x");\n}\nint k() {\n}\n')
    assert found(text) == [("f", 1, 4), ("k", 5, 2)]
