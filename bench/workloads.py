"""Whole programs for bench/run: what they work on, made in a directory, and their commands."""
import os
import shutil
import subprocess

SOURCES = 50
REPO_FILES = 2000
REPO_COMMITS = 20


def run(cmd, cwd):
    env = dict(os.environ, GIT_AUTHOR_DATE="2020-01-01T00:00:00Z", GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    subprocess.run(cmd, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_repository(path):
    """REPO_FILES files, of which each commit changes some."""
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main"]
    os.mkdir(path)
    run(git + ["init", "-q"], path)
    for commit in range(REPO_COMMITS):
        for i in range(commit, REPO_FILES, 1 if commit == 0 else 37):
            name = os.path.join(path, f"d{i % 50}", f"f{i}.c")
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "a") as f:
                f.write("".join(f"int v{i}_{commit}_{k} = {k};\n" for k in range(10)))
        run(git + ["add", "-A"], path)
        run(git + ["commit", "-q", "-m", f"change {commit}"], path)


def make_sources(path):
    os.mkdir(path)
    for i in range(SOURCES):
        with open(os.path.join(path, f"s{i}.c"), "w") as f:
            f.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n")
            f.write("".join(f"int f{i}_{k}(int x) {{ return printf(\"%d\\n\", x * {k} + (int)strlen(getenv(\"HOME\"))); }}\n"
                            for k in range(40)))
    with open(os.path.join(path, "Makefile"), "w") as f:
        names = " ".join(f"s{i}.o" for i in range(SOURCES))
        f.write(f"all: {names}\n%.o: %.c\n\t$(CC) -O1 -c -o $@ $<\n")


def make_sql(path):
    os.mkdir(path)
    insert = "INSERT INTO t VALUES({0}, 'text {0}', {0}.5);\n"
    create = "DROP TABLE IF EXISTS t; CREATE TABLE t(a INTEGER, b TEXT, c REAL);\n"
    with open(os.path.join(path, "one.sql"), "w") as f:
        f.write(create + "BEGIN;\n" + "".join(insert.format(i) for i in range(100000)) + "COMMIT;\n")
    with open(os.path.join(path, "own.sql"), "w") as f:
        f.write(create + "".join(insert.format(i) for i in range(1000)))


def shell(script):
    return ["/bin/sh", "-c", script]


def small():
    """Start-up: programs that end at once."""
    programs = {"/bin/true": ["/bin/true"]}
    if os.path.exists("/usr/bin/python3"):
        programs["python3 -c pass"] = ["/usr/bin/python3", "-c", "pass"]
    programs["sh, twenty /bin/true"] = shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /bin/true; done")
    return programs


def large(work):
    """name -> command; what is not installed is left out.  Changes nothing but below work."""
    programs = {}
    if os.path.exists("/usr/bin/python3"):
        version = subprocess.run(["/usr/bin/python3", "-c", "import os; print(os.path.dirname(os.__file__))"],
                                 stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        copy = os.path.join(work, "python")
        shutil.copytree(version, copy, ignore=shutil.ignore_patterns("__pycache__", "dist-packages", "test", "config-*"))
        programs["python3 -m compileall, the standard library"] = ["/usr/bin/python3", "-m", "compileall", "-q", "-f", copy]
    if shutil.which("git"):
        repo = os.path.join(work, "repo")
        make_repository(repo)
        programs[f"git status, {REPO_FILES:,} files"] = ["git", "-C", repo, "status"]
        programs["git log -p"] = shell(f"git -C {repo} log -p | wc -c")
    if shutil.which("make") and shutil.which("cc"):
        sources = os.path.join(work, "sources")
        make_sources(sources)
        programs[f"make -j2, {SOURCES} files"] = ["make", "-s", "-B", "-j2", "-C", sources]
    programs["find /usr | wc -l"] = shell("find /usr -xdev | wc -l")
    programs["tar of /usr/share"] = shell("tar cf - -C /usr share | wc -c")
    if shutil.which("sqlite3"):
        sql = os.path.join(work, "sql")
        make_sql(sql)
        programs["sqlite3, 100,000 inserts in one transaction"] = shell(f"sqlite3 {sql}/db <{sql}/one.sql")
        programs["sqlite3, 1,000 inserts in their own"] = shell(f"sqlite3 {sql}/db <{sql}/own.sql")
    programs["sh, a thousand $(true)"] = shell("i=0; while [ $i -lt 1000 ]; do x=$(true); i=$((i+1)); done")
    return programs
