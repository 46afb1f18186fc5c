"""cases.py BAILEY PLATFORM USER [NAME...]: see ../run-tty.

A case is a function of `run`, which starts CMD on a new terminal: natively, or inside.  One that is about the job that the
caller's shell sees starts that shell natively and `run.command(CMD)` in it, so that Bailey's front process is its job.
"""

import multiprocessing
import os
import re
import shlex
import signal
import sys
import termios

from pty_terminal import Failure, Terminal, all_gone, descendants, eventually

CASES = []
LANES = 2
ENV = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/nonexistent', 'LANG': 'C',
       'TERM': 'dumb', 'HISTFILE': '/dev/null'}
PS1 = ['env', 'PS1=READY$ ']
BASH = PS1 + ['bash', '--norc', '--noprofile', '-i']
PROMPT = r'READY\$ '


class Run:
    """Where CMD runs."""

    def __init__(self, bailey, platform, user):
        self.prefix = [bailey, 'do', '--platform', platform, '--'] if bailey else []
        self.inside = bool(bailey)
        self.user = user
        self.open = []

    def __call__(self, *argv, **options):
        return self._start(self.prefix + list(argv), **options)

    def natively(self, *argv, **options):
        return self._start(list(argv), **options)

    def _start(self, argv, **options):
        t = Terminal(argv, user=self.user, env=ENV, **options)
        self.open.append(t)
        return t

    def command(self, text):
        """A line for a native shell that runs `text` as sh's."""
        return ' '.join(map(shlex.quote, self.prefix + ['sh', '-c', text]))

    def close(self):
        for t in self.open:
            t.close()


def case(function):
    CASES.append(function)
    return function


def equal(what, got, want):
    if got != want:
        raise Failure(f'{what}: {got!r}, not {want!r}')


def shell(run):
    t = run(*BASH)
    t.expect(PROMPT)
    return t


def outer(run):
    """A native interactive shell, whose job Bailey is to be."""
    t = run.natively(*BASH)
    t.expect(PROMPT)
    return t


def start(t, command):
    """A foreground job of the shell inside; what is typed next is for the job, for it is the job that says up."""
    t.line(f'''sh -c 'echo u""p; exec {command}\'''')
    t.expect(r'up\r')


def ask(t, text, pattern):
    """Types a line until pattern comes.  What is typed soon after ^C, ^Z or ^\\ may be lost even when the shell has its prompt
    out already, or come only with what is typed next; with a native shell one time in thirty or so on a busy machine."""
    for _ in range(5):
        t.line(text)
        try:
            t.expect(pattern, seconds=3)
            return
        except Failure as e:
            why = e
    raise why


def cat_answers(t, word):
    """The job in the foreground is a cat; it may have been given lines of ask's, too."""
    t.line(word)
    t.expect(rf'{word}\r\n(.*\r\n)*{word}')


def foreground(t):
    ask(t, 'fg', r'fg\r\n.*\r\n')
    eventually('the line is as the job left it', lambda: t.modes()[3] & termios.ICANON)


def until(t, command, pattern):
    """Types command at the shell's prompt again and again until its output has pattern."""
    def found():
        t.line(command)
        return re.search(pattern, t.before(PROMPT))
    eventually(f'{command!r} says {pattern!r}', found)


def interrupt(t):
    """^C until the prompt comes: a shell that has just looked for signals and is about to read sees one at the next key."""
    for _ in range(5):
        t.key('C')
        try:
            t.expect(PROMPT, seconds=2)
            return
        except Failure as e:
            why = e
    raise why


def running_cat(t):
    """The job is a cat by now: a child of vfork(2) that stops before it is one keeps its parent from stopping."""
    t.line('ready')
    t.expect(r'ready\r\nready')


def leave(t, status=0):
    t.line(f'exit {status}')
    equal('status', t.wait(), status)


# ---- the line ----

@case
def bash_prompt_echo_and_status(run):
    t = shell(run)
    t.line('echo $((6*7))-')
    t.expect(r'echo \$\(\(6\*7\)\)-')
    t.expect('42-')
    leave(t, 7)


@case
def sh_prompt_and_end_of_file(run):
    t = run(*PS1, 'sh', '-i')
    t.expect(PROMPT)
    t.line('echo from-$((1+1))')
    t.expect('from-2')
    t.expect(PROMPT)
    t.key('D')
    equal('status', t.wait(), 0)


@case
def editing_the_line(run):
    t = shell(run)
    t.type('echo worlx\x08d')
    t.key('A')
    t.type('true && ')
    t.line('')
    t.expect(r'\nworld')
    t.expect(PROMPT)
    t.line('stty -a')
    t.expect(r'[^-]icanon')
    t.expect(PROMPT)
    t.type('\x1b[A')  # the line before
    t.line('')
    t.expect(r'[^-]icanon')
    leave(t)


@case
def names_of_the_terminal(run):
    t = run('sh', '-c', 'tty; test -t 0 && test -t 1 && test -t 2 && echo all; '
                        'test "$(stat -Lc %t:%T /dev/fd/0)" = "$(stat -Lc %t:%T "$(tty)")" && echo same')
    t.expect(r'/dev/\S+')
    t.expect('all')
    t.expect('same')
    equal('status', t.wait(), 0)


@case
def dev_tty(run):
    t = run('sh', '-c', 'echo to-the-terminal >/dev/tty; read x </dev/tty </dev/null; read x </dev/tty; echo got-$x >&2')
    t.expect('to-the-terminal')
    t.line('input')
    t.expect('got-input')
    equal('status', t.wait(), 0)


@case
def dev_tty_without_it_on_stdin(run):
    t = run.natively('sh', '-c', 'exec ' + run.command('exec 2>&-; echo up >/dev/tty; read x </dev/tty; echo got-$x') + ' </dev/null')
    t.expect('up')
    t.line('input')
    t.expect('got-input')
    equal('status', t.wait(), 0)


NOWHERE = ' </dev/null >/dev/null 2>&1'


@case
def dev_tty_with_all_standard_files_elsewhere(run):
    t = run.natively('sh', '-c', run.command('echo up >/dev/tty; read x </dev/tty; echo got-$x-$(stty size </dev/tty) >/dev/tty; '
                                             'exit 3') + NOWHERE)
    t.expect('up')
    t.line('input')
    t.expect('got-input-24 80')
    equal('status', t.wait(), 3)


@case
def dev_tty_can_be_written_where_stdin_is_for_reading_alone(run):
    t = run.natively('sh', '-c', run.command('echo up >/dev/tty; read x; read y </dev/tty; echo got-$x-$y >/dev/tty; exit 4')
                     + ' <$(tty) >/dev/null 2>&1')
    t.expect('up')
    t.line('one')
    t.line('two')
    t.expect('got-one-two')
    equal('status', t.wait(), 4)


@case
def job_control_where_stdin_is_for_reading_alone(run):
    t = run.natively('sh', '-c', run.command('set -m; sh -c "kill -STOP \\$\\$"; echo stopped; cat & wait; jobs; fg >/dev/null; '
                                             'echo over-$?') + ' <$(tty) 2>&1 | cat')
    t.expect('stopped')
    t.expect(r'Stopped.* cat')
    t.line('words')
    t.expect('words')
    t.key('D')
    t.expect('over-0')
    t.wait()


@case
def dev_tty_in_the_background(run):
    t = outer(run)
    t.line(run.command('echo wri""tten >/dev/tty; read x </dev/tty; echo got-$x >/dev/tty') + NOWHERE + ' &')
    t.expect('written')
    until(t, 'echo stopped-$(jobs -s | wc -l)', r'\nstopped-1')
    foreground(t)
    t.line('input')
    t.expect('got-input')
    t.expect(PROMPT)
    leave(t)


@case
def dev_tty_without_a_controlling_terminal(run):
    t = run.natively('sh', '-c', '{ setsid -w ' + run.command('(: >/dev/tty) || echo failed-$?') + '; } </dev/null 2>&1 | cat')
    t.expect('No such device or address')
    t.expect('failed-2')
    equal('status', t.wait(), 0)


@case
def keys_for_one_with_all_standard_files_elsewhere(run):
    t = run.natively('sh', '-c', run.command('echo up >/dev/tty; exec sleep 100') + NOWHERE + '; echo status-$?')
    t.expect('up')
    t.key('C')
    equal('status', t.wait(), 130)


@case
def settings(run):
    t = run('sh', '-c', 'stty -a; stty -echo; echo off; read x; stty echo; echo $x')
    t.expect(r'speed \d+ baud; rows 24; columns 80')
    t.expect(r'intr = \^C')
    t.expect('off')
    eventually('echo is off', lambda: not t.echoes())
    t.line('secret')
    t.expect('secret')
    equal('status', t.wait(), 0)
    equal('echo at the end', t.echoes(), True)


@case
def settings_stay_as_the_command_left_them(run):
    t = outer(run)
    t.line(run.command('stty -echo') + '; stty -a | grep -o -e "-echo "')
    t.expect(r'-echo *\r\n')
    t.line('stty echo')
    t.expect(PROMPT)
    leave(t)


@case
def raw_mode(run):
    t = run('sh', '-c', 'stty raw -echo; echo go; dd bs=1 count=3 2>/dev/null | od -An -tx1; stty sane')
    t.expect('go')
    t.type('\x03\x1a\r')
    t.expect('03 1a 0d')
    equal('status', t.wait(), 0)


@case
def reading_with_a_timeout(run):
    t = run('sh', '-c', 'stty raw -echo min 0 time 0; dd bs=9 count=1 2>/dev/null | wc -c; '
                        'stty min 0 time 3; dd bs=9 count=1 2>/dev/null | wc -c; stty sane; echo end')
    t.expect(r'\b0\b')
    t.expect(r'\b0\b')
    t.expect('end')
    equal('status', t.wait(), 0)


@case
def window_size(run):
    t = run('bash', '-c', 'trap "stty size" WINCH; stty size; while read x; do echo got-$x; done', rows=30, columns=90)
    t.expect('30 90')
    t.resize(40, 100)

    def told():  # inside, what is typed may overtake the signal; the trap is run when a line has been read
        t.line('wake')
        return '40 100' in t.before('got-wake')
    eventually('the new size is told', told)
    t.key('D')
    equal('status', t.wait(), 0)


# ---- keys ----

@case
def interrupt_ends_the_job_and_not_the_shell(run):
    t = shell(run)
    start(t, 'sleep 100')
    t.key('C')
    t.expect(PROMPT)
    ask(t, 'echo status-$?', r'\nstatus-130')
    leave(t)


@case
def interrupt_at_the_prompt(run):
    t = shell(run)
    t.type('echo not-this')
    t.expect('not-this')
    interrupt(t)
    ask(t, 'echo status-$?', r'\nstatus-130')
    leave(t)


@case
def quit_ends_the_job(run):
    t = shell(run)
    t.line('ulimit -c 0')
    t.expect(PROMPT)
    start(t, 'sleep 100')
    t.type('\x1c')
    t.expect('Quit')
    t.expect(PROMPT)
    ask(t, 'echo status-$?', r'\nstatus-131')
    leave(t)


@case
def interrupt_ends_the_command(run):
    t = run('sh', '-c', 'echo up; exec sleep 100')
    t.expect('up')
    t.key('C')
    equal('status', t.wait(), 130)


@case
def interrupt_reaches_all_of_a_pipeline(run):
    t = run('sh', '-c', '(trap "echo one >&2; exit" INT; echo up; while :; do sleep 0.05; done) | cat; echo after')
    t.expect('up')
    t.key('C')
    t.expect('one')
    equal('status', t.wait(), 130)


@case
def interrupt_that_is_handled_comes_once(run):
    t = run('perl', '-e', '$| = 1; $SIG{INT} = sub { $n++; print "int-$n\\n" }; print "up\\n"; sleep 1 while $n < 3')
    t.expect('up')
    for n in 1, 2, 3:
        t.key('C')
        t.expect(f'int-{n}')
    equal('status', t.wait(), 0)


@case
def interrupt_with_stdin_elsewhere(run):
    t = run.natively('sh', '-c', 'exec ' + run.command('echo up; exec sleep 100') + ' </dev/null')
    t.expect('up')
    t.key('C')
    equal('status', t.wait(), 130)


# ---- jobs inside ----

@case
def stop_and_foreground(run):
    t = shell(run)
    start(t, 'cat')
    cat_answers(t, 'one')
    t.key('Z')
    t.expect('Stopped')
    t.expect(PROMPT)
    ask(t, 'echo status-$?; jobs', r'\nstatus-148')
    t.expect('Stopped')
    t.expect(PROMPT)
    foreground(t)
    cat_answers(t, 'two')
    t.key('C')
    t.expect(PROMPT)
    ask(t, 'echo left', r'\nleft')
    leave(t)


@case
def stop_and_background(run):
    t = shell(run)
    start(t, 'perl -e "sleep 2; print qq(finished\\n)"')
    t.key('Z')
    t.expect('Stopped')
    t.expect(PROMPT)
    ask(t, 'bg', r'bg\r\n.*\r\n')
    t.expect(r'finished\r')
    leave(t)


@case
def background_read_stops(run):
    t = shell(run)
    t.line('cat &')
    t.expect(PROMPT)
    until(t, 'jobs', 'Stopped')
    foreground(t)
    cat_answers(t, 'now')
    t.key('D')
    t.expect(PROMPT)
    leave(t)


@case
def background_settings_stop(run):
    t = shell(run)
    t.line('stty -echo & wait; jobs')
    t.expect(r'Stopped')
    equal('echo', t.modes()[3] & termios.ISIG != 0, True)
    t.line('kill %1; fg')
    t.expect(PROMPT)
    t.line('exit 0')
    t.wait()


@case
def background_write_stops_only_if_asked(run):
    t = shell(run)
    t.line('sh -c "echo wri\\"\\"tten" & wait')
    t.expect('written')
    t.expect(PROMPT)
    t.line('stty tostop; sh -c "echo wri\\"\\"tten" & wait; jobs')
    t.expect('Stopped')
    t.never('written')
    t.line('fg')
    t.expect('written')
    leave(t)


@case
def orphaned_background_read_fails(run):
    t = shell(run)
    t.line('sh -c "exec 3<&0; (sleep 0.5; cat <&3; echo sta\\"\\"tus-\\$?) &" & wait')
    t.expect(r'status-1')
    leave(t)


@case
def script_is_not_stopped_when_orphaned(run):
    t = run('sh', '-c', 'echo up; read x; echo got-$x')
    t.expect('up')
    t.key('Z')
    t.never('got', 0.3)
    t.line('on')
    t.expect('got-on')
    equal('status', t.wait(), 0)


# ---- the job that the caller's shell sees ----

@case
def whole_job_stops_and_goes_on(run):
    t = outer(run)
    t.line(run.command('echo u""p; cat; echo en""ded'))
    t.expect(r'up\r')
    running_cat(t)
    t.key('Z')
    t.expect('Stopped')
    t.expect(PROMPT)
    ask(t, 'echo status-$?; jobs', r'\nstatus-148')
    t.expect('Stopped')
    t.expect(PROMPT)
    foreground(t)
    cat_answers(t, 'one')
    t.key('Z')
    t.expect('Stopped')
    t.expect(PROMPT)
    foreground(t)
    t.key('D')
    t.expect(r'ended\r')
    t.expect(PROMPT)
    leave(t)


@case
def whole_job_interrupted(run):
    t = outer(run)
    t.line(run.command('echo u""p; sleep 100'))
    t.expect(r'up\r')
    interrupt(t)
    ask(t, 'echo status-$?', r'\nstatus-130')
    leave(t)


@case
def background_job_runs_and_is_waited_for(run):
    t = outer(run)
    t.line(run.command('sleep 0.3; exit 5') + ' & wait $!; echo status-$?')
    t.expect(r'\nstatus-5')
    leave(t)


@case
def background_job_that_reads_stops(run):
    t = outer(run)
    t.line(run.command('cat') + ' &')
    t.expect(PROMPT)
    until(t, 'jobs', 'Stopped')
    foreground(t)
    cat_answers(t, 'now')
    t.key('D')
    t.expect(PROMPT)
    leave(t)


@case
def background_job_leaves_the_settings_alone(run):
    t = outer(run)
    t.line(run.command('stty intr x; echo set') + ' &')
    t.expect(PROMPT)
    until(t, 'jobs', 'Stopped')
    t.line('stty -a')
    t.expect(r'intr = \^C')
    t.line('fg')
    t.expect(r'set\r')
    t.line('stty intr ^C')
    t.expect(PROMPT)
    leave(t)


@case
def shell_in_the_background_waits_for_its_turn(run):
    t = outer(run)
    t.line(' '.join(map(shlex.quote, run.prefix + BASH)) + ' &')
    t.expect(PROMPT)
    until(t, 'jobs', 'Stopped')
    t.line('fg')
    t.expect(PROMPT)
    t.line('echo pid-$PPID; exit 3')
    t.expect(r'pid-\d')
    t.expect(PROMPT)
    t.line('echo status-$?')
    t.expect(r'\nstatus-3')
    leave(t)


@case
def stopped_job_is_killed(run):
    t = outer(run)
    t.line(run.command('echo u""p; cat'))
    t.expect(r'up\r')
    running_cat(t)
    t.key('Z')
    t.expect('Stopped')
    t.expect(PROMPT)
    ask(t, 'kill %1', PROMPT)
    until(t, 'echo left-$(jobs | wc -l)', r'\nleft-0')
    leave(t)


@case
def command_stopped_and_resumed_from_inside(run):
    t = outer(run)
    t.line(run.command('echo u""p; (sleep 0.5; kill -CONT $$) & kill -STOP $$; echo o""n; wait'))
    t.expect(r'up\r')
    t.expect(r'on\r')
    until(t, 'echo stopped-$(jobs -s | wc -l)', r'\nstopped-0')  # inside, it may say so before the shell is told
    leave(t)


@case
def pipeline_outside(run):
    t = outer(run)
    t.line(run.command('echo u""p >&2; cat') + ' | tr a-z A-Z')
    t.expect(r'up\r')
    t.line('upper')
    t.key('D')
    t.expect('UPPER')
    leave(t)


# ---- signals that are sent ----

def background(t, command):
    t.line(command + ' & echo pid-$!-')
    return int(t.expect(r'pid-(\d+)-', drop=False).group(1))  # `up` may have come first


@case
def term_is_forwarded_each_time(run):
    t = outer(run)
    pid = background(t, run.command('trap "echo caught" TERM; echo u""p; i=0; while [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done'))
    t.expect(r'up\r')
    for _ in range(2):
        os.kill(pid, signal.SIGTERM)
        t.expect('caught')
    os.kill(pid, signal.SIGKILL)
    leave(t)


@case
def term_ends_the_command(run):
    t = outer(run)
    pid = background(t, run.command('echo u""p; exec sleep 100'))
    t.expect(r'up\r')
    os.kill(pid, signal.SIGTERM)
    t.line('wait %1; echo status-$?')
    t.expect(r'\nstatus-143')
    leave(t)


@case
def signal_to_the_whole_group_comes_once(run):
    t = outer(run)
    pid = background(t, run.command('n=0; trap "n=\\$((n+1))" USR1; echo u""p; i=0; while [ $i -lt 15 ]; do sleep 0.1; '
                                    'i=$((i+1)); done; echo count-$n'))
    t.expect(r'up\r')
    # Only the leader: natively a shell's children are in the group as well and would die.
    os.kill(pid, signal.SIGUSR1)
    t.expect(r'count-1')
    leave(t)


@case
def kill_ends_everything(run):
    t = outer(run)
    pid = background(t, run.command('trap "" TERM INT HUP; echo u""p; sleep 100 & exec sleep 100'))
    t.expect(r'up\r')
    below = descendants(pid)
    os.kill(pid, signal.SIGKILL)
    if run.inside:
        eventually('the sandbox has ended', all_gone(below))
    t.line('echo o""n')
    t.expect(r'on\r')
    leave(t)


@case
def hang_up_of_the_terminal(run):
    t = run('sh', '-c', 'echo u""p; sleep 100 & exec sleep 100')  # inside, a reader may see the end before the signal comes
    t.expect(r'up\r')
    below = descendants(t.pid)
    t.hang_up()
    equal('status', t.wait(), 129)
    if run.inside:
        eventually('the sandbox has ended', all_gone(below))


@case
def hang_up_under_an_interactive_shell(run):
    t = shell(run)
    start(t, 'sleep 100')
    below = descendants(t.pid)
    t.hang_up()
    t.wait()
    eventually('all has ended', all_gone(below))


# Says by its status whether the one that reads had SIGHUP when it learned that the terminal has gone.
SIGNAL_OR_END = """
$| = 1; $SIG{HUP} = sub { $gone = 1 }; print "up\n";
1 while sysread(STDIN, $buf, 9);
exit($gone ? 5 : 6)
"""


@case
def hang_up_is_signalled_before_it_is_read(run):
    """Linux wakes the reader of a pseudo-terminal a moment before it signals: natively, too, the end may come first now and then."""
    statuses = []
    for _ in range(5):
        t = run('perl', '-e', SIGNAL_OR_END)
        t.expect(r'up\r')
        t.hang_up()
        statuses.append(t.wait())
    equal('statuses of another kind', [s for s in statuses if s not in (5, 6)], [])
    if run.inside and statuses.count(5) < 3:
        raise Failure(f'{statuses}: the end came first')


@case
def hang_up_that_the_command_ignores(run):
    t = run('sh', '-c', 'trap "" HUP; echo u""p; while read x; do :; done; exit 9')
    t.expect(r'up\r')
    t.hang_up()
    equal('status', t.wait(), 9)


# Says by its status what a terminal that has gone is like: ready, at its end for a reader, EIO for a writer.  Then it waits.
LEFT_ALONE = """
$| = 1; $SIG{HUP} = sub { $gone = 1 }; print "up\\n"; select(undef, undef, undef, 0.02) until $gone;
$r = ""; vec($r, 0, 1) = 1; $ready = select($r, undef, undef, 0) == 1;
$n = sysread(STDIN, $buf, 9); $end = defined($n) && $n == 0;
$failed = !defined(syswrite(STDOUT, "x")) && $! == 5;
sleep 2; exit(64 + $ready + 2 * $end + 4 * $failed)
"""


@case
def terminal_that_went_away(run):
    t = run('perl', '-e', LEFT_ALONE)
    t.expect(r'up\r')
    t.hang_up()
    equal('status', t.wait(), 64 + 7)
    if t.cpu_seconds > 1:
        raise Failure(f'{t.cpu_seconds} s of CPU for a command that slept')


@case
def nohup(run):
    t = outer(run)
    pid = background(t, 'nohup ' + run.command('echo u""p; sleep 0.7; exit 6') + ' > >(cat) 2>/dev/null')
    t.expect(r'up\r')
    os.kill(pid, signal.SIGHUP)
    t.line('wait %1; echo status-$?')
    t.expect(r'\nstatus-6')
    leave(t)


# ---- when it goes wrong ----

@case
def settings_are_restored_when_the_sentry_dies(run):
    if not run.inside:
        return
    t = run('sh', '-c', 'stty -echo; echo u""p; sleep 100')
    t.expect(r'up\r')
    equal('echo', t.echoes(), False)
    os.kill(descendants(t.pid)[0], signal.SIGKILL)
    t.expect('the sentry was killed by SIGKILL')
    equal('status', t.wait(), 125)
    equal('echo', t.echoes(), True)


def run_case(what):
    """One case in one place: its line of the report."""
    function, where, program, platform, user = what
    run = Run(program, platform, user)
    try:
        function(run)
        return f'ok {function.__name__}-{where}'
    except (Failure, OSError, termios.error) as e:
        return f'FAIL {function.__name__}-{where}: {e}'
    finally:
        run.close()


def main():
    bailey, platform, user = sys.argv[1:4]
    names = sys.argv[4:]
    user = int(user) if user else None
    todo = [(function, where, program, platform, user) for function in CASES if not names or function.__name__ in names
            for where, program in (('native', None), ('inside', bailey))]
    failed = 0
    # Processes, not threads: a case forks.
    with multiprocessing.get_context('fork').Pool(LANES) as lanes:
        for line in lanes.imap(run_case, todo):
            failed += line.startswith('FAIL')
            print(line, flush=True)
    print(f'{len(todo) - failed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
