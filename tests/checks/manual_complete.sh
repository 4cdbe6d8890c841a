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
echo 1..5
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
