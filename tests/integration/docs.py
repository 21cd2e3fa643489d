"""What README and docs say is so: the code shown is the code that runs, the
files and commands named exist.  docs.py BUILD_DIR"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ["README.md", "docs/architecture.md", "docs/hacking.md", "docs/http.md",
         "docs/http-requests.md", "docs/http-responses.md", "docs/http-files.md",
         "docs/http-operations.md", "docs/http-client.md", "docs/proxy.md", "docs/load.md",
         "docs/benchmarks.md"]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as page:
        return page.read()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def first_example_is_tcp_echo():
    shown = blocks(read("README.md"), "c")[0]
    program = read("examples/tcp_echo.c")
    assert shown in program, "README's first example is not in examples/tcp_echo.c"
    assert len(program.splitlines()) < 70, "tcp_echo.c is no longer under 70 lines"


def hello_is_shown():
    program = read("examples/hello.c")
    for page in ("README.md", "docs/http.md"):
        assert program in blocks(read(page), "c"), f"{page} does not show examples/hello.c"


HEADERS = "".join(f"#include <{name}>\n" for name in
                  ("gust/http.h", "gust/http_router.h", "stdio.h", "string.h"))


def compile_example(code):
    with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
        source.write(HEADERS + code)
        source.flush()
        includes = [f"-I{ROOT}/{part}/include" for part in ("core", "net", "http", "http/client", "proxy")]
        # Handlers are shown on their own: nothing calls them, and they use no arg.
        subprocess.run(["cc", "-fsyntax-only", "-std=gnu17", "-Wall", "-Werror",
                        "-Wno-unused-function", *includes, source.name], check=True)


def other_examples_compile():
    hello = read("examples/hello.c")
    for code in blocks(read("README.md"), "c")[1:]:
        compile_example(code)
    for page in ("docs/http-requests.md", "docs/http-responses.md", "docs/http-files.md"):
        for code in blocks(read(page), "c"):
            compile_example(code)
    # A guide goes on from one block to the next.
    for guide in ("docs/http.md", "docs/http-operations.md", "docs/http-client.md"):
        compile_example("".join(code for code in blocks(read(guide), "c") if code != hello))


def proxy_guide_compiles():
    code = "".join(blocks(read("docs/proxy.md"), "c"))
    compile_example("#include <gust/http_proxy.h>\n"
                    f"void serve(gust_http_router *router) {{ {code} }}")


def proxy_example_is_shown():
    file = re.sub(r" *#.*", "", read("examples/proxy.yaml")).splitlines()
    for line in blocks(read("docs/proxy.md"), "yaml")[0].splitlines():
        assert line in file, f"docs/proxy.md: {line!r} is not in examples/proxy.yaml"


def proxy_keys_are_listed():
    """All of them, with the defaults that the header says."""
    source, header = read("proxy/yaml/load.c"), read("proxy/include/gust/http_proxy.h")
    keys = set(re.findall(r"(?:FILE|PROXY)_(?:KEY|TIME|ENUM)\((\w+)(?:, [\w]+)?\),", source))
    section = read("docs/proxy.md").split("## All keys of the file")[1].split("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| ?(.*?) ?\|", section, re.M))
    assert keys | {"upstreams"} == set(listed), keys ^ set(listed)
    for key in re.findall(r"UPSTREAM_KEY\((\w+), KEY_\w+\)", source):
        assert f"`{key}`" in section, f"docs/proxy.md does not list {key} of an upstream"
    defaults = re.findall(r"#define GUST_HTTP_PROXY_(\w+?)(?:_NS)? \(?(\d+)", header)
    for key, default in defaults:
        if key.lower() in listed:
            assert listed[key.lower()] == default, f"docs/proxy.md: {key.lower()}"


def files_named_exist():
    for page in PAGES:
        text = read(page)
        named = re.findall(r"`((?:core|net|http|examples|bench|tests|docs)/[\w./\[\]*-]+)`", text)
        named += [os.path.normpath(os.path.join(os.path.dirname(page), link))
                  for link in re.findall(r"\]\(([^)#:]+)\)", text)]
        assert named, page
        for name in named:
            names = ([name.replace("[ch]", end) for end in "ch"] if "[ch]" in name else [name])
            for each in names:
                found = subprocess.run(["bash", "-c", f"compgen -G '{each}'"], cwd=ROOT,
                                       capture_output=True, check=False)
                assert found.returncode == 0, f"{page} names {each}, which is not there"


def commands_named_exist():
    usage = subprocess.run([os.path.join(ROOT, "dev"), "help"], check=True, capture_output=True,
                           text=True).stdout
    known = set(re.findall(r"^  (\w+)", usage, re.M))
    for page in PAGES:
        for command in re.findall(r"\./dev (\w+)", read(page)):
            assert command in known, f"{page} names ./dev {command}"
        for bench in re.findall(r"\./dev bench ([a-z]\w*)", read(page)):
            assert any(os.path.exists(os.path.join(ROOT, f"bench/{bench}.{kind}"))
                       for kind in ("c", "py", "sh")), f"{page} names ./dev bench {bench}"


def environment_is_documented():
    sources = "".join(read(f"core/{name}") for name in os.listdir(os.path.join(ROOT, "core"))
                      if name.endswith(".c"))
    table = read("README.md")
    for variable in set(re.findall(r'getenv\("(\w+)"\)', sources)):
        assert f"`{variable}`" in table, f"README does not list {variable}"


def main():
    checks = (first_example_is_tcp_echo, hello_is_shown, other_examples_compile,
              proxy_guide_compiles, proxy_example_is_shown, proxy_keys_are_listed,
              files_named_exist, commands_named_exist, environment_is_documented)
    for check in checks:
        check()
        print(f"ok {check.__name__}")
    print(f"{len(checks)} passed, 0 failed")


if __name__ == "__main__":
    main()
