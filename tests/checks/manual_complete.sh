#!/bin/sh
# Each function, option, result member and constant of a public header stands in its manual.
set -u
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT

# Comments out, so that only declarations are read.
code() { sed 's,//.*,,' "$1" | awk '{ gsub(/\/\*[^*]*\*+([^\/*][^*]*\*+)*\//, "") } 1' RS='\001'; }

members() { # members HEADER-CODE STRUCT: names of its members
  awk -v s="$2" '$0 ~ "^(typedef )?struct " s " \\{" { inside = 1; next } /^}/ { inside = 0 } inside' "$1" |
    grep -oE '[a-z_]+[a-z_0-9]*(\[[A-Z_a-z0-9]*\])?[,;]' | sed 's/[^a-z_0-9].*//' |
    grep -vE '^reserved_?$'
}

# report DESCRIPTION [BEFORE]: $tmp/names, one a line, are all in $tmp/manual as words, each
# with BEFORE before it, an extended regular expression.
report() {
  n=$((n + 1))
  missing=$(while read -r name; do
    grep -qE -e "${2:-(^|[^a-z_])}$name([^a-z_]|\$)" "$tmp/manual" || echo "# $name"
  done <"$tmp/names")
  count=$(wc -l <"$tmp/names")
  if [ -z "$missing" ] && [ "$count" -gt 0 ]; then echo "ok $n - $1 ($count names)"; else
    echo "not ok $n - $1 ($count names)"
    echo "$missing"
  fi
}

code include/whendo/shellcmd.h >"$tmp/code"
cp man/shellcmd.3 "$tmp/manual"
echo 1..15
grep -oE '\b(sh_[a-z_]*[a-z])\(' "$tmp/code" | tr -d '(' | grep -vE '_$|sh_auto_free' | sort -u >"$tmp/names"
report 'functions of shellcmd.h'
members "$tmp/code" sh_call | grep -vE '^(size|argv|argv_end|stays_null_.)$' | sort -u >"$tmp/names"
report 'options' '^\.It Fa (.* )?\.'
members "$tmp/code" sh_result | sort -u >"$tmp/names"
report 'members of sh_result' '^\.It Fa (.* )?'
sed '/^#ifdef __cplusplus/,/^#endif/d' "$tmp/code" | grep -oE '\bSH_[A-Z_]*[A-Z]\b' |
  grep -vE '_$|^SH_(API|PRINTF|STAGES)|_T$' | sort -u >"$tmp/names"
report 'constants and macros of shellcmd.h'
cat >"$tmp/names" <<'END'
_in _out _err _err_to_out _tee _bg _bg_exc _done _iter _iter_noblock _iter_poll_time _piped
_ok_code _cwd _env _timeout _timeout_signal _fg _tty_in _tty_out _unify_ttys _tty_size
_new_session _new_group _uid _preexec_fn _close_fds _pass_fds _in_bufsize _out_bufsize
_err_bufsize _internal_bufsize _no_out _no_err _no_pipe _truncate_exc _encoding
_decode_errors _return_cmd _async _with _long_sep _long_prefix _arg_preprocess _log_msg
END
tr ' ' '\n' <"$tmp/names" >"$tmp/one" && mv "$tmp/one" "$tmp/names"
sed -n '/^.Sh COMING FROM/,$p' man/shellcmd.3 >"$tmp/manual"
report "keyword arguments of Python's sh"

code include/whendo/watcher.h >"$tmp/code"
cp man/watcher.3 "$tmp/manual"
grep -oE '\bwatcher_[a-z_]*[a-z]\(' "$tmp/code" | tr -d '(' | sort -u >"$tmp/names"
report 'functions of watcher.h'
grep -oE '\b(WATCHER|WATCH|LIST)(_[A-Z_]*[A-Z])?\b' "$tmp/code" | sort -u >"$tmp/names"
report 'constants and macros of watcher.h'
for s in watcher_error watcher_event watcher_options watch_options watcher_stats_t \
  watcher_snapshot_entry; do
  members "$tmp/code" $s | grep -vxE 'size|on_.*' | sort -u >"$tmp/names"
  # Callbacks are members, too: void (*on_x)(...).
  awk -v s="$s" '$0 ~ "^typedef struct " s " \\{" { i = 1 } /^}/ { i = 0 } i' "$tmp/code" |
    grep -oE '\(\*on_[a-z_]+' | tr -d '(*' >>"$tmp/names"
  report "members of $s"
done
awk '/^typedef struct watcher_(log|command|supervise)_options/ { i = 1 } /^}/ { i = 0 } i' "$tmp/code" |
  grep -oE '\(\*?on_[a-z_]+|[a-z_]+[;,]' | tr -d '(*;,' | grep -vx len | sort -u >"$tmp/names"
report 'options of the ready-made handlers'
cat >"$tmp/names" <<'END'
src_path dest_path event_type is_directory is_synthetic FileSystemEventHandler
PatternMatchingEventHandler RegexMatchingEventHandler ignore_directories case_sensitive
LoggingEventHandler Observer InotifyObserver generate_full_events FSEventsObserver KqueueObserver
WindowsApiObserver PollingObserver PollingObserverVFS schedule recursive event_filter
follow_symlink ObservedWatch add_handler_for_watch remove_handler_for_watch unschedule
unschedule_all emitters event_queue EventEmitter DirectorySnapshot DirectorySnapshotDiff
ContextManager EmptyDirectorySnapshot ignore_device generate_sub_moved_events
generate_sub_created_events EventDebouncer SkipRepeatsQueue DelayedQueue ProcessWatcher
LoggerTrick ShellCommandTrick wait_for_process drop_during_process AutoRestartTrick stop_signal
kill_after debounce_interval_seconds restart_on_command_exit restart_count
END
tr ' ' '\n' <"$tmp/names" >"$tmp/one" && mv "$tmp/one" "$tmp/names"
sed -n '/^.Sh COMING FROM/,$p' man/watcher.3 >"$tmp/manual"
report "what Python's Watchdog has"
