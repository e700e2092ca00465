# shellcheck shell=sh
# Sends one event to ApiTraffic: `event`, or `open` and `close` around a deploy. POSIX sh, awk, and curl or GNU wget.
# What the plugins have in common: docs/ci-plugins.md. Both templates hold a copy; `make gitlab` updates them.
# A job that exports SHELLOPTS passes its options on: `-e` would end this script, and with it the deploy, at the first request that fails.
{ set +aCefuvx; } 2>/dev/null
# shellcheck disable=SC3040  # a shell that does not know it fails in the subshell
if (set +o pipefail) 2>/dev/null; then set +o pipefail; fi
umask 077
export LC_ALL=C

# shellcheck disable=SC2016  # awk expands it, not the shell
EXPANSION='
function expanded(text,  name, out) {
  while (match(text, /\$(\$|[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})/)) {
    name = substr(text, RSTART + 1, RLENGTH - 1); out = out substr(text, 1, RSTART - 1); text = substr(text, RSTART + RLENGTH)
    gsub(/[{}]/, "", name)
    out = out (name == "$" ? "$" : ENVIRON[name])
  }
  return out text
}
'

# Texts are passed in ENVIRON, which awk does not interpret. Implementations of awk disagree on characters, so the bytes of UTF-8 are
# decoded here.
# shellcheck disable=SC2016  # awk expands it, not the shell
LIBRARY='
function prepare(  i) { for (i = 1; i < 256; i++) ORD[sprintf("%c", i)] = i; SEP = "\034" }
# Splits into characters CH[1..n]; what is not UTF-8 becomes U+FFFD.
function characters(text, most,  i, j, n, c, size, low, ok, b, length_) {
  split("", CH); split("", CP); length_ = length(text)
  for (i = 1; i <= length_ && n < most; ) {
    c = ORD[substr(text, i, 1)] + 0
    if (c < 128) { size = 1; low = 0; b = c }
    else if (c >= 194 && c < 224) { size = 2; low = 128; b = c - 192 }
    else if (c >= 224 && c < 240) { size = 3; low = 2048; b = c - 224 }
    else if (c >= 240 && c < 245) { size = 4; low = 65536; b = c - 240 }
    else size = 0
    ok = size > 0 && i + size - 1 <= length_
    for (j = 1; ok && j < size; j++) {
      c = ORD[substr(text, i + j, 1)] + 0
      if (c < 128 || c > 191) ok = 0
      b = b * 64 + c - 128
    }
    if (ok && (b < low || b > 1114111 || (b >= 55296 && b < 57344))) ok = 0
    n++
    if (ok) { CH[n] = substr(text, i, size); CP[n] = b; i += size }
    else { CH[n] = "\357\277\275"; CP[n] = 65533; i++ }
  }
  return n + 0
}
function is_blank(p) {
  return p <= 32 || (p >= 127 && p <= 160) || p == 1564 || p == 5760 || (p >= 8192 && p <= 8203) || p == 8206 || p == 8207 || \
    (p >= 8232 && p <= 8239) || p == 8287 || p == 8288 || (p >= 8294 && p <= 8297) || p == 12288 || p == 65279
}
function joined(from, to,  i, text) { for (i = from; i <= to; i++) text = text CH[i]; return text }
# apitraffic_events.text.one_line: one line without invisible characters, cut at a word.
function one_line(text, limit,  i, n, m, space, at) {
  n = characters(text, limit * 4)
  for (i = 1; i <= n; i++) {
    if (is_blank(CP[i])) { space = m > 0; continue }
    if (space) { LINE[++m] = " "; space = 0 }
    LINE[++m] = CH[i]
  }
  split("", CH)
  for (i = 1; i <= m; i++) CH[i] = LINE[i]
  if (m <= limit) return joined(1, m)
  m = limit - 1
  if (CH[limit] != " ") { for (at = m; at > 0 && CH[at] != " "; at--) ; if (at - 1 > int(limit / 2)) m = at - 1 }
  while (m > 0 && index(" ,;:-(", CH[m])) m--
  return joined(1, m) "\342\200\246"
}
function is_line_break(p) { return (p >= 10 && p <= 13) || (p >= 28 && p <= 30) || p == 133 || p == 8232 || p == 8233 }
# apitraffic_events.text.paragraphs: lines without invisible characters; at most 2,000 characters.
function paragraphs(text,  i, n, m, gap) {
  n = characters(text, 8000)
  for (i = 1; i <= n; i++) {
    if (is_line_break(CP[i])) {
      if (CP[i] == 13 && i < n && CP[i + 1] == 10) i++
      gap = gap "\n"
    }
    else if (is_blank(CP[i])) { if (gap !~ / $/) gap = gap " " }
    else {
      # Of what is between two words, spaces around a line break are dropped.
      if (index(gap, "\n")) gsub(/ /, "", gap)
      if (m) for (; gap != ""; gap = substr(gap, 2)) LINE[++m] = substr(gap, 1, 1)
      gap = ""; LINE[++m] = CH[i]
    }
  }
  split("", CH)
  for (i = 1; i <= m; i++) CH[i] = LINE[i]
  if (m <= 2000) return joined(1, m)
  for (m = 1999; CH[m] ~ /[ \n]/; ) m--
  return joined(1, m) "\342\200\246"
}
function quoted(text,  i, n, c, out) {
  n = length(text)
  for (i = 1; i <= n; i++) {
    c = substr(text, i, 1)
    if (c == "\"" || c == "\\") out = out "\\" c
    else if (ORD[c] + 0 < 32) out = out sprintf("\\u%04x", ORD[c])
    else out = out c
  }
  return "\"" out "\""
}
function utf8(p) {
  if (p < 128) return sprintf("%c", p)
  if (p < 2048) return sprintf("%c%c", 192 + int(p / 64), 128 + p % 64)
  if (p < 65536) return sprintf("%c%c%c", 224 + int(p / 4096), 128 + int(p / 64) % 64, 128 + p % 64)
  return sprintf("%c%c%c%c", 240 + int(p / 262144), 128 + int(p / 4096) % 64, 128 + int(p / 64) % 64, 128 + p % 64)
}
function hex4(text,  i, v, d) {
  if (length(text) != 4) return -1
  for (i = 1; i <= 4; i++) { d = index("0123456789abcdef", tolower(substr(text, i, 1))); if (!d) return -1; v = v * 16 + d - 1 }
  return v
}
# Decodes a JSON string; sets BROKEN if it is not one. Halves of surrogate pairs and NUL become a space.
function unescaped(text,  at, out, c, p, low) {
  while ((at = index(text, "\\"))) {
    out = out substr(text, 1, at - 1); c = substr(text, at + 1, 1); text = substr(text, at + 2)
    if (c == "u") {
      p = hex4(substr(text, 1, 4)); text = substr(text, 5)
      if (p < 0) BROKEN = 1
      else if (p >= 55296 && p < 56320 && substr(text, 1, 2) == "\\u") {
        low = hex4(substr(text, 3, 4))
        if (low >= 56320 && low < 57344) { p = 65536 + (p - 55296) * 1024 + low - 56320; text = substr(text, 7) }
      }
      out = out (p <= 0 || (p >= 55296 && p < 57344) ? " " : utf8(p))
    }
    else if (c == "n") out = out "\n"
    else if (c == "t") out = out "\t"
    else if (c == "r") out = out "\r"
    else if (c == "b" || c == "f") out = out " "
    else if (c != "" && index("\"\\/", c)) out = out c
    else BROKEN = 1
  }
  return out text
}
# Parses JSON with RS = "\"": records are alternately outside and inside of strings. The value at PATH is
# KIND[PATH] and VALUE[PATH]; the children of an object or array are CHILD[PATH, 1..SIZE[PATH]].
function json_record() {
  if (INSIDE) {
    TEXT = TEXT $0
    if (match($0, /\\+$/) && RLENGTH % 2) { TEXT = TEXT "\""; return }
    INSIDE = 0
    if (TEXT ~ /[\001-\037]/) BROKEN = 1
    TEXT = unescaped(TEXT)
    if (EXPECT == "key" || EXPECT == "key or end") { KEY[DEPTH] = TEXT; EXPECT = "colon" }
    else json_value("string", TEXT)
    return
  }
  json_outside($0)
  INSIDE = 1; TEXT = ""
}
function json_outside(text,  i, n, c, word) {
  n = length(text)
  for (i = 1; i <= n + 1; i++) {
    c = i > n ? " " : substr(text, i, 1)
    if (!index(" \t\r\n{}[]:,", c)) { word = word c; continue }
    if (HAS_VARIABLES && (c == "{" && word == "$" || c == "}" && word ~ /^\$\{[A-Za-z0-9_]+$/)) { word = word c; continue }
    if (word != "") { json_word(word); word = "" }
    if (c == "{" || c == "[") {
      json_value(c, "")
      if (DEPTH >= 100) BROKEN = 1
      AT[++DEPTH] = PATH; OPEN[DEPTH] = c; EXPECT = c == "{" ? "key or end" : "value or end"
    } else if (c == "}" || c == "]") {
      if (!DEPTH || OPEN[DEPTH] != (c == "}" ? "{" : "[") || (EXPECT != "comma" && EXPECT !~ / or end$/)) BROKEN = 1
      if (DEPTH) DEPTH--
      EXPECT = DEPTH ? "comma" : "nothing"
    } else if (c == ":") { if (EXPECT != "colon") BROKEN = 1; EXPECT = "value" }
    else if (c == ",") { if (EXPECT != "comma") BROKEN = 1; EXPECT = OPEN[DEPTH] == "{" ? "key" : "value" }
    if (BROKEN) return
  }
}
function is_number(word) { return word ~ /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/ }
# With HAS_VARIABLES, a value may be the name of a variable, not in quotes.
function json_word(word) {
  if (word == "true" || word == "false" || word == "null") json_value(word, word)
  else if (is_number(word)) json_value("number", word)
  else if (HAS_VARIABLES && word ~ /^\$([A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})$/) json_value("variable", word)
  else BROKEN = 1
}
function json_value(kind, value,  up, key) {
  if (EXPECT != "" && EXPECT !~ /^value/) { BROKEN = 1; return }
  if (!DEPTH) PATH = ""
  else {
    up = AT[DEPTH]; key = OPEN[DEPTH] == "{" ? KEY[DEPTH] : SIZE[up] + 1
    PATH = up SEP key
    if (!(PATH in KIND)) CHILD[up, ++SIZE[up]] = key
  }
  KIND[PATH] = kind; VALUE[PATH] = value; SIZE[PATH] = 0
  EXPECT = DEPTH ? "comma" : "nothing"
}
function json_is_whole() { return !BROKEN && EXPECT == "nothing" && INSIDE == 1 }
function days(y, m, d) {
  if (m <= 2) { y--; m += 12 }
  return 365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * (m - 3) + 2) / 5) + d - 719469
}
# Seconds since 1970 of an ISO 8601 time, "" if it is not one; milliseconds in MS.
function epoch(text,  date, t, zone, sign, p, q, s) {
  if (text !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]([T ][0-9][0-9]:[0-9][0-9](:[0-9][0-9]([.][0-9]+)?)? ?(Z|[+-][0-9][0-9]:?[0-9][0-9])?)?$/) return ""
  split(substr(text, 1, 10), p, "-"); t = substr(text, 12); sign = 0; zone = ""
  if (match(t, /[+-][0-9:]+$/)) { sign = substr(t, RSTART, 1) "1"; zone = substr(t, RSTART + 1); t = substr(t, 1, RSTART - 1) }
  sub(/ ?Z?$/, "", t)
  split(t, q, ":"); MS = 0
  if (match(q[3], /[.].*/)) MS = int(substr(substr(q[3], RSTART + 1) "000", 1, 3))
  if (p[2] < 1 || p[2] > 12 || p[3] < 1 || p[3] > 31 || q[1] > 23 || q[2] > 59 || int(q[3]) > 59) return ""
  s = days(p[1] + 0, p[2] + 0, p[3] + 0)
  if (substr(iso(s * 86400), 1, 10) != substr(text, 1, 10)) return ""
  gsub(/:/, "", zone)
  return s * 86400 + q[1] * 3600 + q[2] * 60 + int(q[3]) - sign * (substr(zone, 1, 2) * 3600 + substr(zone, 3, 2) * 60)
}
# Seconds since 1970 of an HTTP date, "Wed, 21 Oct 2026 07:28:00 GMT"; "" if it is not one. RFC 9110, 5.6.7.
function http_date(text,  p, month) {
  if (text !~ /^[A-Z][a-z][a-z], [0-9][0-9] [A-Z][a-z][a-z] [0-9][0-9][0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9] GMT$/) return ""
  split(text, p, " "); month = index("JanFebMarAprMayJunJulAugSepOctNovDec", p[3])
  if (month % 3 != 1) return ""
  return epoch(sprintf("%s-%02d-%sT%sZ", p[4], (month + 2) / 3, p[2], p[5]))
}
function iso(seconds, ms,  day, left, y, m) {
  day = int(seconds / 86400); if (day * 86400 > seconds) day--
  left = seconds - day * 86400; y = 1970 + int(day / 365.2425)
  while (days(y, 1, 1) > day) y--
  while (days(y + 1, 1, 1) <= day) y++
  for (m = 12; days(y, m, 1) > day; ) m--
  return sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", y, m, day - days(y, m, 1) + 1, left / 3600, left % 3600 / 60, left % 60, ms)
}
# What is deployed, from what GitLab knows: a tag, else `branch@0123abc`, else the commit.
function version_of(tag, branch, commit,  short) {
  short = substr(commit, 1, 7)
  if (tag != "") return tag
  if (branch ~ /^[0-9a-f]+$/ && length(branch) >= 7 && length(branch) <= 64) {
    if (index(commit == "" ? branch : commit, substr(branch, 1, 7)) == 1) return substr(branch, 1, 7)
  }
  return branch (branch != "" && short != "" ? "@" : "") short
}
function deployment_name(status, repository, version, environment,  name) {
  name = status == "failure" ? "Failed deploy" : status == "cancelled" ? "Cancelled deploy" : "Deploy"
  if (repository != "") name = name " " repository
  if (version != "") name = name " " version
  if (environment != "") name = name " to " environment
  return one_line(name, 200)
}
# `Succeeded after 2 min 3 s by alice.`
function outcome_of(status, seconds, actor) {
  return (status == "failure" ? "Failed" : status == "cancelled" ? "Cancelled" : "Succeeded") \
    " after " took(seconds) (actor == "" ? "" : " by " actor) "."
}
function took(s) {
  if (s < 0) s = 0
  if (s >= 86400) return int(s / 86400) " d" (s % 86400 >= 3600 ? " " int(s % 86400 / 3600) " h" : "")
  if (s >= 3600) return int(s / 3600) " h" (s % 3600 >= 60 ? " " int(s % 3600 / 60) " min" : "")
  if (s >= 60) return int(s / 60) " min" (s % 60 ? " " s % 60 " s" : "")
  return s " s"
}
BEGIN { prepare() }
'

# What ran before a deployment: receiver/insight in awk. The event itself is deploy 0, those that the API lists are 1..N. The rules are in
# docs/ci-plugins.md, "What ran before", and as examples in tests/vectors/previous.json.
# shellcheck disable=SC2016  # awk expands it, not the shell
PREVIOUS='
function either(one, other) { return one != "" ? one : other }
function about(p, name,  at) { at = p SEP "metadata" SEP name; return KIND[at] == "string" || KIND[at] == "number" ? one_line(VALUE[at], 200) : "" }
function moment(text,  s) { s = epoch(text); return s == "" ? "" : s + MS / 1000 }
function is_version(text) { return text ~ /^((@[^\/]+\/)?[^\/]*[@-])?v?[0-9]+(\.[0-9]+)+([-+.][0-9A-Za-z.+-]+)?$/ }
function is_commit(text) { return text ~ /^[0-9a-f]+$/ && length(text) >= 7 && length(text) <= 64 }
# receiver.wording.describe_version
function described(ref, commit,  short, name) {
  short = substr(commit, 1, 7); name = ref; sub(/^refs\/(heads|tags)\//, "", name)
  if (name == "" || (is_commit(name) && index(either(commit, name), substr(name, 1, 7)) == 1)) return either(short, substr(name, 1, 7))
  return ref ~ /^refs\/tags\// || short == "" || (is_version(name) && ref !~ /^refs\/heads\//) ? name : name "@" short
}
function words(list, word) { return word != "" && index(" " list " ", " " word " ") }
# Reads the event at a path as deploy r; whether it is one of the same history as deploy 0.
function read_deploy(p, r,  status, release, subject) {
  subject = either(either(about(p, "service"), about(p, "repository")), about(p, "job"))
  HISTORY[r] = tolower(subject) SEP tolower(about(p, "environment"))
  START[r] = moment(VALUE[p SEP "startedAt"]); status = tolower(about(p, "status"))
  if (HISTORY[r] != HISTORY[0] || subject == "" || VALUE[p SEP "type"] != "deployment" || START[r] == "") return 0
  WHEN[r] = either(moment(VALUE[p SEP "endedAt"]), START[r]); NAME[r] = r ? VALUE[p SEP "sid"] "" : VALUE[p SEP "metadata" SEP "marker_key"] ""
  COMMIT[r] = about(p, "commit"); release = about(p, "release")
  VERSION[r] = either(either(release, about(p, "version")), described(about(p, "ref"), COMMIT[r]))
  EXACT[r] = release != "" || is_version(VERSION[r]); COMMIT[r] = tolower(COMMIT[r])
  JOB[r] = about(p, "job"); RUN[r] = about(p, "run_id"); TRACK[r] = either(about(p, "workflow"), JOB[r])
  BACK[r] = tolower(TRACK[r] "\n" JOB[r] "\n" about(p, "task")) ~ /roll.?back|revert|restore|undo|promote|redeploy/
  RAN[r] = words("success succeeded successful passed unstable warnings rolled_back", status)
  return (VERSION[r] != "" || COMMIT[r] != "") && (RAN[r] || words("in_progress running started pending paused failure failed error partial expired cancelled canceled aborted rejected not_built merged", status))
}
function is_before(a, b) {
  if (WHEN[a] != WHEN[b]) return WHEN[a] < WHEN[b]
  return START[a] != START[b] ? START[a] < START[b] : NAME[a] < NAME[b]
}
function is_same(a, b,  n) {
  if (COMMIT[a] == "" || COMMIT[b] == "") return VERSION[a] != "" && VERSION[a] == VERSION[b] && EXACT[a] && EXACT[b]
  n = length(COMMIT[a]) < length(COMMIT[b]) ? length(COMMIT[a]) : length(COMMIT[b])
  return n >= 7 && substr(COMMIT[a], 1, n) == substr(COMMIT[b], 1, n)
}
# Keeps those that replaced what deploy 0 replaces: by the same workflow, or by one that goes back for it. 0 if that is not clear.
function keep_target(  r, k, n, track, seen, runs, jobs, mine, beside) {
  for (r = 0; r <= N; r++) { KEEP[r] = 1; if (!BACK[r] && !(TRACK[r] in seen)) { seen[TRACK[r]] = 1; n++ } }
  if (n > 1) {
    track = TRACK[0]; n = 0; split("", seen)
    for (r = 1; BACK[0] && r <= N; r++) if (!BACK[r] && is_same(r, 0) && !(TRACK[r] in seen)) { track = TRACK[r]; seen[track] = 1; n++ }
    if (BACK[0] && n != 1) return 0
    for (r = 1; r <= N; r++) KEEP[r] = BACK[r] ? is_same(r, 0) : TRACK[r] == track
    for (r = 1; r <= N; r++) for (k = 1; BACK[r] && k <= N; k++) if (KEEP[k] && !BACK[k] && is_same(r, k)) KEEP[r] = 1
  }
  # Jobs of one run deploy side by side.
  for (r = 0; r <= N; r++) if (KEEP[r] && !BACK[r] && RUN[r] != "") {
    if (!((RUN[r], JOB[r]) in jobs)) { jobs[RUN[r], JOB[r]] = 1; runs[RUN[r]]++ }
    if (JOB[r] == JOB[0]) mine[RUN[r]] = 1
    if (BACK[0] && runs[RUN[r]] > 1) return 0
  }
  for (r = 0; r <= N; r++) if (KEEP[r] && !BACK[r] && RUN[r] in mine && JOB[r] != JOB[0]) beside[JOB[r]] = 1
  for (r = 1; r <= N; r++) if (JOB[r] in beside || (RUN[0] != "" && RUN[r] == RUN[0] && JOB[0] == "")) KEEP[r] = 0
  return 1
}
# receiver.insight.compare
function compare_link(p, old, new,  url, source, scheme, host, path) {
  url = VALUE[p SEP "metadata" SEP "repository_url"]; source = VALUE[p SEP "source"]
  if (url !~ /^https?:\/\/[^ \t\r\n]+$/ || length(url) > 300 || !is_commit(old) || !is_commit(new) || old == new) return ""
  scheme = substr(url, 1, index(url, "://") + 2); path = substr(url, length(scheme) + 1); sub(/[?#].*/, "", path)
  host = path; sub(/\/.*/, "", host); path = substr(path, length(host) + 1); sub(/^.*@/, "", host)
  url = scheme host; host = tolower(host); sub(/:[0-9]*$/, "", host); sub(/^www\./, "", host)
  sub(/\/+$/, "", path); sub(/\.git$/, "", path)
  if (path == "") return ""
  if (words("github.com gitea.com codeberg.org", host) || host ~ /\.ghe\.com$/) return url path "/compare/" old "..." new
  if (host == "bitbucket.org") return url path "/branches/compare/" new ".." old
  if (host == "gitlab.com" || source == "gitlab_ci") return url path "/-/compare/" old "..." new
  return words("github_actions gitea forgejo", source) ? url path "/compare/" old "..." new : ""
}
# `Roll back acme/shop to v1 in production`, if the name is one that deployments get.
function rolled_back(p, now, otherwise,  name, verb, rest, at, i, each, place, version) {
  name = VALUE[p SEP "name"]; at = p SEP "metadata" SEP; place = VALUE[at "environment"]
  if (index(name, "Deploy ") == 1) verb = "Roll back "
  else if (index(name, "Failed deploy ") == 1) verb = "Failed rollback of "
  else if (index(name, "Cancelled deploy ") == 1) verb = "Cancelled rollback of "
  else return name
  rest = substr(name, index(name, "eploy ") + 6)
  if (place != "") place = " to " place
  for (i = split("service repository job", each, " "); i; i--) ORDER[i] = VALUE[at each[i]]
  for (i = 1; i <= 3; i++) {
    if (ORDER[i] == "" || index(rest, ORDER[i] " ") != 1 || substr(rest, length(rest) - length(place) + 1) != place) continue
    version = either(substr(rest, length(ORDER[i]) + 2, length(rest) - length(place) - length(ORDER[i]) - 1), otherwise)
    if (index(version, " ")) return name
    return one_line(verb ORDER[i] " to " either(now, version) (place == "" ? "" : " in" substr(place, 4)), 200)
  }
  return name
}
# Whether no further page can have later deploys: whether the newest come first.
function is_newest_first(records, field,  i, at, last) {
  for (i = 1; i <= SIZE[records]; i++) {
    at = moment(VALUE[records SEP i SEP field])
    if (at == "" || (i > 1 && at > last)) return 0
    last = at
  }
  return 1
}
function run_of(p,  url) { url = VALUE[p SEP "metadata" SEP "run_url"]; sub(/\/+$/, "", url); return url == "" ? "" : url " " VALUE[p SEP "metadata" SEP "run_attempt"] }
function tell(name, text) { if (text != "") print name "\t" quoted(text) }
# Prints what is to be told of the event at `own`, by the answer at `listed`: a name, a line, and rows of metadata.
function previous(own, listed,  top, records, key, job, run, i, p, at, r, last, first, latest, origin, course, short, now, line, link, version) {
  top = KIND[listed SEP "data"] ~ /^[{[]$/ ? listed SEP "data" : listed
  records = KIND[top] == "[" ? top : top SEP "records"
  if (!read_deploy(own, 0) || VALUE[own SEP "metadata" SEP "environment"] == "") return
  if (VALUE[top SEP "hasMore"] == "true" || VALUE[listed SEP "hasMore"] == "true" || VALUE[listed SEP "meta" SEP "hasMore"] == "true")
    if (!is_newest_first(records, "startedAt") && !is_newest_first(records, "createdAt")) return
  key = VALUE[own SEP "metadata" SEP "marker_key"]; job = VALUE[own SEP "metadata" SEP "job_id"]; run = run_of(own)
  for (i = 1; i <= SIZE[records]; i++) {
    p = records SEP i; at = p SEP "metadata" SEP
    if (VALUE[at "marker_key"] == key || VALUE[at "joined_by"] == key || (job != "" && VALUE[at "job_id"] "" == job "")) continue
    if (!read_deploy(p, N + 1)) continue
    N++
    if (RAN[N] && run != "" && run_of(p) == run && VALUE[at "job_id"] == "") return
  }
  if (!keep_target()) return
  for (r = 1; r <= N; r++) if (KEEP[r] = KEEP[r] && RAN[r] && is_before(r, 0)) {
    if (!last || is_before(last, r)) last = r
    if (is_same(r, 0)) { if (!first || is_before(r, first)) first = r; if (!latest || is_before(latest, r)) latest = r }
  }
  if (!last) return
  origin = last
  for (r = 1; r <= N; r++) if (KEEP[r] && is_same(r, last) && is_before(r, origin)) origin = r
  course = is_same(last, 0) ? "redeploy" : first && is_before(first, origin) ? "rollback" : ""
  short = either(VALUE[own SEP "metadata" SEP "short_commit"], VALUE[own SEP "metadata" SEP "commit"])
  now = latest ? VERSION[latest] : ""; version = either(VERSION[last], substr(COMMIT[last], 1, 7)); link = compare_link(own, COMMIT[last], COMMIT[0])
  at = took(int(WHEN[0] - WHEN[last] + 0.5)) " earlier."
  if (course == "redeploy") line = "Again: " version " was deployed here " at
  else {
    line = course == "" ? "Before: " version : "Rollback to " either(now, either(substr(short, 1, 7), "an earlier version")) " from " version
    line = line ", deployed " at (link == "" ? "" : " " link)
  }
  tell("name", course == "rollback" ? rolled_back(own, now, either(substr(short, 1, 7), "an earlier version")) : VALUE[own SEP "name"])
  tell("line", line); tell("previous_version", VERSION[last]); tell("previous_commit", COMMIT[last])
  tell("previous_deployed_at", iso(int(WHEN[last]), int((WHEN[last] - int(WHEN[last])) * 1000 + 0.5)))
  tell("compare_url", link); tell("course", course)
}
'

ran_before() { # EVENT-FILE ANSWER-FILE: prints rows of a name, a tab and JSON, the first two for the event's name and description
  { printf '{"own":'; cat "$1"; printf ',"listed":'; cat "$2"; echo '}'; } |
    awk "$LIBRARY$PREVIOUS"'BEGIN { RS = "\"" } { json_record() } END { if (json_is_whole()) previous(SEP "own", SEP "listed") }'
}

line() { # TEXT LIMIT: on one line, safe to print
  TEXT=$1 LIMIT=$2 awk "$LIBRARY"'BEGIN { print one_line(ENVIRON["TEXT"], ENVIRON["LIMIT"]) }' </dev/null
}

# receiver.events.marker_key: on one line; a key of more than 300 characters ends in a digest of all of it, so that no two become
# the same.
marker_key() { # TEXT
  whole=$(line "$1" 1000000)
  start=$(TEXT=$whole awk "$LIBRARY"'BEGIN { n = characters(ENVIRON["TEXT"], 301); if (n > 300) print joined(1, 267) }' </dev/null)
  if [ -n "$start" ]; then
    echo "$start~$(printf '%s' "$whole" | sha256sum | cut -c 1-32)"
  else
    printf '%s\n' "$whole"
  fi
}

# An input may contain variables, as elsewhere in GitLab: $NAME, ${NAME}, and $$ for a dollar sign. They are expanded once, and their
# values are not expanded again, which GitLab's own expansion does not guarantee for a commit title or a branch.
input() { # NAME: the value of APITRAFFIC_INPUT_<NAME>
  APITRAFFIC_NAME=$1 awk "$EXPANSION"'BEGIN { printf "%s", expanded(ENVIRON["APITRAFFIC_INPUT_" ENVIRON["APITRAFFIC_NAME"]]) }' </dev/null
}

# The input metadata is parsed before its variables are replaced: a commit's message stays the value that it is, whatever is in it. An input
# that is nothing but one variable is what that variable holds, in which nothing is replaced.
own_metadata() { # prints a line for each entry: its name, a tab, its value as JSON; writes what is wrong to `bad`
  APITRAFFIC_TEXT=$(printf '%s' "${APITRAFFIC_INPUT_METADATA:-}") APITRAFFIC_ONLY=''
  case $APITRAFFIC_TEXT in
    \$*)
      APITRAFFIC_ONLY=${APITRAFFIC_TEXT#\$}
      case $APITRAFFIC_ONLY in '{'*'}') APITRAFFIC_ONLY=${APITRAFFIC_ONLY#?} APITRAFFIC_ONLY=${APITRAFFIC_ONLY%?} ;; esac
      case $APITRAFFIC_ONLY in
        [0-9]* | *[!A-Za-z0-9_]*) APITRAFFIC_ONLY='' ;;
        ?*) APITRAFFIC_TEXT=$(input METADATA) ;;
      esac ;;
  esac
  export APITRAFFIC_TEXT APITRAFFIC_ONLY
  printf '%s\n' "$APITRAFFIC_TEXT" | APITRAFFIC_BAD=$work/bad awk "$LIBRARY$EXPANSION"'
    function replaced(text) { return ENVIRON["APITRAFFIC_ONLY"] == "" ? expanded(text) : text }
    function as_text(text) { return quoted(one_line(replaced(text), 1000)) }
    # Not in quotes, a variable may hold a number, true, false or null; everything else is text.
    function as_word(word,  value) {
      value = expanded(word)
      return value ~ /^(true|false|null)$/ || is_number(value) ? value : as_text(word)
    }
    function tidy(path, depth,  i, key, out) {
      if (KIND[path] == "string") return as_text(VALUE[path])
      if (KIND[path] == "variable") return as_word(VALUE[path])
      if (KIND[path] != "{" && KIND[path] != "[") return VALUE[path]
      if (depth > 4) { TOO_DEEP = 1; return "null" }
      for (i = 1; i <= SIZE[path]; i++) {
        key = CHILD[path, i]
        out = out (i > 1 ? "," : "") (KIND[path] == "{" ? as_text(key) ":" : "") tidy(path SEP key, depth + 1)
      }
      return KIND[path] == "{" ? "{" out "}" : "[" out "]"
    }
    function entry(name, json) { rows = rows one_line(replaced(name), 1000) "\t" json "\n" }
    BEGIN { RS = "\""; text = ENVIRON["APITRAFFIC_TEXT"]; is_json = text ~ /^[ \t\r\n]*[{[]/; HAS_VARIABLES = ENVIRON["APITRAFFIC_ONLY"] == "" }
    is_json { json_record() }
    END {
      if (is_json) {
        if (!json_is_whole() || KIND[""] != "{") bad = "is not a JSON object"
        for (i = 1; !bad && i <= SIZE[""]; i++) entry(CHILD["", i], tidy(SEP CHILD["", i], 1))
        if (TOO_DEEP) bad = "is nested deeper than 4 levels"
        if (bad) rows = ""
      } else {
        n = split(text, lines, "\n")
        for (i = 1; i <= n; i++) {
          if (lines[i] ~ /^[ \t\r]*(#.*)?$/) continue
          at = index(lines[i], ":")
          if (at < 2) { bad = "has a line without a colon"; continue }
          entry(substr(lines[i], 1, at - 1), as_text(substr(lines[i], at + 1)))
        }
      }
      printf "%s", rows
      if (bad) printf "%s", bad >(ENVIRON["APITRAFFIC_BAD"])
    }'
}

say() { # TEXT [COLOUR]: one line of the log
  case ${2:-} in
    '') printf '%s\n' "$(line "$1" 1500)" ;;
    *) printf '\033[0;%sm%s\033[0m\n' "$2" "$(line "$1" 1500)" ;;
  esac
}

end() { # STATUS [PROBLEM]: reports the problem according to on-error, writes the results and exits
  if [ -n "${2:-}" ]; then
    case $on_error in
      fail) say "$2" 31 ;;
      ignore) say "$2" ;;
      *) say "$2" 33 ;;
    esac
  fi
  {
    printf 'APITRAFFIC_STATUS=%s\n' "$1"
    printf 'APITRAFFIC_EVENT_SID=%s\n' "$(line "${sid:-}" 200)"
    printf 'APITRAFFIC_MARKER_KEY=%s\n' "${key:-}"
    if [ "$command $scope" = "open pipeline" ]; then
      printf 'APITRAFFIC_PIPELINE_KEY=%s\nAPITRAFFIC_PIPELINE_SID=%s\nAPITRAFFIC_PIPELINE_STARTED_AT=%s\n' \
        "${key:-}" "$(line "${sid:-}" 200)" "${started_at:-}"
    fi
  } >"$folder/apitraffic.env" || say "ApiTraffic: the results could not be written to $folder/apitraffic.env, so later jobs do not get them. Is the disk full, or the folder read-only?"
  if [ "$command" = open ]; then
    printf '%s\n' "${key:-}" "${sid:-}" "${started_at:-}" >"$note"
  elif [ "$command" = close ]; then
    rm -f "$note"
  fi
  [ -z "${2:-}" ] || [ "$on_error" != fail ] || exit 1
  exit 0
}

end_without_programs() { # reports it with nothing but the shell
  problem="ApiTraffic is not configured: the image lacks $lacking. Install what is missing or use another image. Nothing was sent."
  case ${APITRAFFIC_INPUT_ON_ERROR:-} in
    fail) printf '\033[0;31m%s\033[0m\n' "$problem" ;;
    ignore) printf '%s\n' "$problem" ;;
    *) printf '\033[0;33m%s\033[0m\n' "$problem" ;;
  esac
  printf 'APITRAFFIC_STATUS=skipped\nAPITRAFFIC_EVENT_SID=\nAPITRAFFIC_MARKER_KEY=\n' >"$folder/apitraffic.env"
  [ "${APITRAFFIC_INPUT_ON_ERROR:-}" != fail ] || exit 1
  exit 0
}

wrong() { end failed "ApiTraffic: the input $1 $2"; }

time_of() { # INPUT-NAME TEXT: sets `time`, as ISO 8601 in UTC
  time=$(TEXT=$2 awk "$LIBRARY"'BEGIN { s = epoch(ENVIRON["TEXT"]); if (s != "") print iso(s, MS) }' </dev/null)
  [ -n "$time" ] || wrong "$1" "is not a time: $2. Write it as ISO 8601, for example 2026-01-10T10:05:00Z"
}

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

credential() { # NAME-OF-VARIABLE INPUT-NAME: sets `secret`
  case $1 in
    '' | [0-9]* | *[!A-Za-z0-9_]*) wrong "$2" "is not the name of a variable. Give the name of the variable that holds the secret, not the secret itself" ;;
  esac
  eval "secret=\${$1-}"
  secret=$(printf '%s' "$secret" | tr -d '\r\n')
  case $secret in
    *[!\!-~]* | *[\"\\]*)
      end skipped "ApiTraffic is not configured: the variable $1 contains characters that no token has, such as spaces or quotes. Copy the token into it again." ;;
  esac
}

usual_causes="Set it under Settings > CI/CD > Variables. If it is set there, note that a protected variable is empty on branches and tags that are not protected, that a variable of an environment is empty in jobs without that environment, and that pipelines of forks get no variables"

called() { # NAME-OF-VARIABLE: without the name if it may be a secret that was given in place of one
  case $1 in
    *[!A-Z0-9_]*)
      if eval "[ -z \"\${$1+set}\" ]"; then
        echo "the variable that $([ -n "$receiver_url" ] && echo receiver-secret-variable || echo token-variable) names (the name, not the secret itself)"
        return
      fi ;;
  esac
  echo "the variable $1"
}

configured() {
  token=''
  if [ -n "$receiver_url" ]; then
    credential "$receiver_secret_variable" receiver-secret-variable
    url=${receiver_url%/}
    url=${url%/webhooks/events}/webhooks/events
    empty=$receiver_secret_variable
  else
    credential "$token_variable" token-variable
    url="${api_url%/}/accounts/$account_sid/events"
    empty=$token_variable
  fi
  token=$secret
  case $url in
    http://* | https://*) ;;
    *) wrong "$([ -n "$receiver_url" ] && echo receiver-url || echo api-url)" "is not a URL that begins with https:// or http://" ;;
  esac
  case $url in *[!\!-~]* | *[\"\\]*) wrong "api-url, account-sid or receiver-url" "contains spaces, quotes or backslashes; remove them" ;; esac
  [ -n "$token" ] || end skipped "ApiTraffic is not configured: $(called "$empty") is empty. $usual_causes."
  [ -n "$receiver_url$account_sid" ] ||
    end skipped "ApiTraffic is not configured: account-sid is empty, and so is the variable APITRAFFIC_ACCOUNT_SID. $usual_causes."
  if command -v curl >/dev/null 2>&1; then
    client=with_curl
  else
    case $(wget --version 2>/dev/null) in
      'GNU Wget 1.'*) client=with_wget ;;
      *) end skipped "ApiTraffic is not configured: the image has neither curl nor GNU wget 1. Install one of them or use another image. Any other wget takes the token only as an argument, which everybody on the runner can read." ;;
    esac
  fi
}

left() { echo $((deadline - $(date +%s))); }

# Makes one request within the time left; sets `code` (000 without an answer) and `why`. The token is in no argument.
request() { # METHOD URL [BODY-FILE]
  wait=$(left)
  [ "$wait" -le 10 ] || wait=10
  [ "$wait" -ge 1 ] || wait=1
  : >"$work/head"
  : >"$work/answer"
  : >"$work/why"
  "$client" "$@"
  failed=$?
  code=$(awk '/^HTTP\// { code = $2 } END { print code ~ /^[1-5][0-9][0-9]$/ ? code : "000" }' "$work/head")
  case $failed$code in
    0*) ;;
    *2??) code=000 ;; # a broken-off answer counts as no answer
  esac
  why=$(tail -n 1 "$work/why" | sed 's/^curl: ([0-9]*) //')
  [ "$code" = 000 ] || why="the answer $code"
  # A page of a proxy proves nothing: the request may have been carried out, or not.
  case $code$(awk 'NF { print substr($1, 1, 1); exit }' "$work/answer") in
    204* | 2??'{' | 2??'[') ;;
    2*) code=000 why="the answer $code is not JSON" ;;
  esac
}

with_curl() { # METHOD URL [BODY-FILE]: curl reads the token from a pipe
  printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl --config - --silent --show-error --max-time "$wait" --request "$1" --output "$work/answer" --dump-header "$work/head" \
      --header 'Content-Type: application/json' --header 'Accept: application/json' --header 'Expect:' \
      --header "webhook-id: $message_id" --user-agent "apitraffic-gitlab" \
      ${3:+--data-binary "@$3"} "$2" 2>"$work/why"
}

with_wget() { # METHOD URL [BODY-FILE]: wget cannot read a pipe, so the token is in a private file for the time of the request
  printf 'header = Authorization: Bearer %s\n' "$token" >"$work/wgetrc"
  limit=''
  ! timeout 5 true 2>/dev/null || limit="timeout $wait"
  $limit wget --config="$work/wgetrc" --no-verbose --server-response --output-file="$work/log" --output-document="$work/answer" \
    --content-on-error --max-redirect=0 --tries=1 --timeout="$wait" --no-hsts --no-netrc --method="$1" \
    --header='Content-Type: application/json' --header='Accept: application/json' \
    --header="webhook-id: $message_id" --user-agent="apitraffic-gitlab" ${3:+"--body-file=$3"} "$2"
  ended=$?
  rm -f "$work/wgetrc"
  sed -n 's/^  //p' "$work/log" >"$work/head"
  sed '/^  /d' "$work/log" >"$work/why"
  [ "$ended" != 124 ] || echo "no answer within $wait s" >"$work/why"
  return "$ended"
}

longest_pause() { # FAILURES: seconds, before a random part of it is taken; BusyBox may be built without the operator ^
  awk -v n="$1" 'BEGIN { for (s = 0.5; --n > 0 && s < 8; ) s *= 2; print s }' </dev/null
}

asked_pause() { # STATUS NOW HEAD-FILE: seconds that the answer asks to wait; empty if it asks for none
  CODE=$1 NOW=$2 awk "$LIBRARY"'
    { name = tolower($1); value = $0; sub(/^[^:]*:[ \t]*/, "", value); sub(/[ \t\r]+$/, "", value) }
    name == "retry-after:" { asked = value }
    name == "x-ratelimit-reset:" { reset = value }
    END {
      if (asked ~ /^[0-9]+$/) pause = asked + 0
      else if ((at = http_date(asked)) != "") pause = at - ENVIRON["NOW"]
      else if (ENVIRON["CODE"] == 429 && reset ~ /^[0-9]+$/) pause = reset - ENVIRON["NOW"]
      if (pause > 0) print pause
    }' "$3"
}

again_at() { # sets `pause` in seconds before the next attempt, or gives up
  pause=$(asked_pause "$code" "$(date +%s)" "$work/head")
  [ -n "$pause" ] ||
    pause=$(awk -v most="$(longest_pause "$tries")" -v lot="$((0x$(random 2)))" 'BEGIN { printf "%.3f", most * lot / 65536 }' </dev/null)
  if awk -v pause="$pause" -v left="$(left)" 'BEGIN { exit pause < left }' </dev/null; then
    give_up
  fi
}

give_up() {
  case $tries in 1) often=once ;; *) often="$tries times" ;; esac
  end failed "ApiTraffic could not be reached: ${why:-no answer}; tried $often in $(($(date +%s) - began)) s. If this persists, check the address and the network of this runner."
}

refused() {
  words=$({ cat "$work/answer"; echo; } | awk "$LIBRARY"'BEGIN { RS = "\"" } { json_record() } END {
    if (!json_is_whole()) exit
    text = VALUE[SEP "error" SEP "code"] " " VALUE[SEP "error" SEP "message"] " " VALUE[SEP "title"] " " VALUE[SEP "detail"]
    for (i = 1; i <= SIZE[SEP "errors"]; i++) { at = SEP "errors" SEP i; text = text " " VALUE[at SEP "field"] " " VALUE[at SEP "detail"] }
    print one_line(text, 500)
  }')
  case $code in
    401) check="Check that the variable $empty holds a token that is correct and still valid." ;;
    403) check="Check that the token in the variable $empty may write events." ;;
    404) check="Check $([ -n "$receiver_url" ] && echo 'receiver-url, and that the receiver has an EVENTS_WEBHOOK_SECRET.' || echo 'account-sid, event-sid and api-url.')" ;;
    3*) check="The address redirects. Give the address that it redirects to." ;;
    *) check="Check the inputs that the answer names." ;;
  esac
  end failed "ApiTraffic refused the event: $code${words:+ $words}. $check"
}

# Sets `sid` if the API lists an event with this marker key, or the same deployment as another sender reported it.
find_event() {
  page=1
  while :; do
    request GET "$url?startDate=$from&endDate=$to&limit=100&page=$page"
    case $code in 2*) ;; *) return ;; esac
    { cat "$work/answer"; echo; } | KEY_=$key FROM_=$from PAGE_=$page awk "$LIBRARY"'
      BEGIN { RS = "\"" }
      { json_record() }
      END {
        if (!json_is_whole()) { print "unreadable"; exit }
        top = KIND[SEP "data"] == "{" || KIND[SEP "data"] == "[" ? SEP "data" : ""
        records = KIND[top] == "[" ? top : top SEP "records"
        for (i = 1; i <= SIZE[records]; i++) {
          event = records SEP i; about = event SEP "metadata" SEP
          same = VALUE[about "marker_key"] == ENVIRON["KEY_"]
          if (ENVIRON["same_job"] != "" && VALUE[event SEP "type"] == "deployment" && \
              VALUE[about "repository"] == ENVIRON["CI_PROJECT_PATH"] && VALUE[about "job_id"] == ENVIRON["same_job"] && \
              VALUE[about "environment"] == ENVIRON["environment"]) same = 1
          if (same && VALUE[event SEP "sid"] ~ /^[A-Za-z0-9_-]+$/) { print "sid " VALUE[event SEP "sid"]; exit }
          start = VALUE[event SEP "startedAt"] ""
          if (start !~ /Z$/ || (i > 1 && start > last)) unordered = 1
          last = start
        }
        # If the newest come first, no later page has what started in the period. The API may ignore that.
        if (ENVIRON["PAGE_"] >= 20 || (!unordered && last < ENVIRON["FROM_"] "")) { print "none"; exit }
        more = VALUE[top SEP "hasMore"] == "true" || VALUE[SEP "hasMore"] == "true" || VALUE[SEP "meta" SEP "hasMore"] == "true"
        print more && SIZE[records] ? "more" : "none"
      }' >"$work/found"
    read -r found sid <"$work/found" || :
    case $found in
      more) page=$((page + 1)) ;;
      unreadable) code=000 why="the list of events is not JSON"; return ;;
      *) return ;;
    esac
    [ "$(left)" -gt 0 ] || { code=000; return; }
  done
}

sid_of_answer() {
  { cat "$work/answer"; echo; } | awk "$LIBRARY"'BEGIN { RS = "\"" } { json_record() } END {
    sid = KIND[SEP "data"] == "{" ? VALUE[SEP "data" SEP "sid"] : VALUE[SEP "sid"]
    if (json_is_whole() && sid ~ /^[A-Za-z0-9_-]+$/) print sid
  }'
}

# Adds to the event what ran before. One request, on which nothing depends.
earlier() {
  began=$(date +%s) patience=$((timeout / 4))
  [ "$patience" -le 3 ] || patience=3
  case $(input PREVIOUS) in *false) return ;; esac
  if [ -n "$receiver_url$is_update" ] || [ "$type" != deployment ] || [ -z "$environment" ] || [ -z "$outcome$metadata" ] || [ "$patience" = 0 ]; then
    return
  fi
  deadline=$((began + patience))
  request GET "$url?type=deployment&endDate=${ended_at:-$started_at}&limit=100&page=1"
  case $code in 2*) before=$(ran_before "$work/body" "$work/answer") ;; esac
  [ -z "$before" ] || composed
}

deliver() {
  tries=0 lost='' method=PATCH
  deadline=$((began + timeout))
  if [ -n "$receiver_url" ]; then step=post
  elif [ -n "$sid" ]; then step=update
  elif [ "$is_known" = yes ]; then step='find'
  else step=create; fi
  while :; do
    tries=$((tries + 1))
    case $step in
      post) request POST "$url" "$work/body" ;;
      find) find_event ;;
      create) request POST "$url" "$work/body" ;;
      update) request "$method" "$url/$sid" "$work/changes" ;;
    esac
    case $code in
      2*)
        case $step in
          post) accepted ;;
          create)
            sid=$(sid_of_answer)
            end_well created ;;
          update) end_well updated ;;
          find)
            tries=0
            if [ -n "$sid" ] && [ -n "$lost" ]; then end_well created; fi
            if [ -n "$sid" ]; then step=update; else step=create; fi ;;
        esac ;;
      000 | 408 | 425 | 429 | 5*)
        again_at
        case $step$code in
          create000 | create408 | create5*) lost=yes step=find ;;
        esac
        sleep "$pause" 2>/dev/null || sleep 1
        [ "$(left)" -gt 0 ] || give_up ;;
      *)
        case $step$method$code in
          updatePATCH404 | updatePATCH405) method=PUT ;;
          find*) [ -z "$lost" ] || refused
            step=create ;;
          *) refused ;;
        esac ;;
    esac
  done
}

accepted() { # by the receiver
  case $({ cat "$work/answer"; echo; } | awk "$LIBRARY"'BEGIN { RS = "\"" } { json_record() } END { print VALUE[SEP "status"] }') in
    ignored)
      say "ApiTraffic: the receiver left this event out, because a route in its configuration says so."
      end skipped ;;
  esac
  case $effect in open | point) end_well created ;; *) end_well updated ;; esac
}

end_well() {
  say "ApiTraffic: event $1${sid:+, $sid}: $(cat "$work/name")"
  end "$1"
}

composed() { compose || end failed "ApiTraffic: could not write the event to $work. Is the disk full?"; }

# Writes the event's fields as JSON: all of them to `body`, those that an update sets to `changes`.
compose() {
  awk "$LIBRARY"'
    # The line stays whole; the description above it is cut.
    function with_line(text, line,  n, room) {
      text = paragraphs(text); room = 1999 - characters(line, 2000)
      n = characters(text, 2001)
      if (n > room && line != "") { for (n = room - 1; CH[n] ~ /[ \n]/; ) n--; text = joined(1, n) "\342\200\246" }
      return text (text == "" || line == "" ? "" : "\n") line
    }
    function env(name) { return ENVIRON[name] }
    function put(name, json, if_new) { FIELDS = FIELDS (FIELDS == "" ? "" : ",") quoted(name) ":" json; if (!if_new) CHANGES = CHANGES (CHANGES == "" ? "" : ",") quoted(name) ":" json }
    function about(name, json) { if (json == "\"\"" || json == "null" || json == "{}" || json == "[]") return; if (!(name in META)) NAMES[++COUNT] = name; META[name] = json }
    function fact(name, text) { about(name, quoted(one_line(text, 1000))) }
    function scope(text,  parts, n, i, out, one) {
      n = split(text, parts, /[,\n]/)
      for (i = 1; i <= n; i++) { one = one_line(parts[i], 1000); if (one != "") out = out (out == "" ? "" : ",") quoted(one) }
      return "[" out "]"
    }
    BEGIN {
      status = env("outcome"); actor = env("GITLAB_USER_LOGIN"); is_update = env("is_update") == "yes"
      commit = env("CI_COMMIT_SHA"); short = substr(commit, 1, 7); version = env("version")
      if (version == "") version = version_of(env("CI_COMMIT_TAG"), env("CI_COMMIT_REF_NAME"), commit)
      name = one_line(env("name"), 200)
      if (name == "" && env("type") == "deployment" && !(is_update && status == "")) {
        name = deployment_name(status, env("CI_PROJECT_PATH"), version, env("environment"))
      }
      told = split(env("before"), TOLD, "\n")
      for (i = 1; i <= told && i <= 2; i++) {
        at = index(TOLD[i], "\t"); text = unescaped(substr(TOLD[i], at + 2, length(TOLD[i]) - at - 2))
        if (i == 2) line = text
        else if (env("name") == "") name = text
      }
      description = env("description")
      if (env("command") == "close") {
        description = outcome_of(status, epoch(env("ended_at")) - epoch(env("started_at")), actor) \
          (description == "" ? "" : "\n" description)
      }
      fact("repository", env("CI_PROJECT_PATH")); fact("repository_url", env("CI_PROJECT_URL"))
      fact("environment", env("environment")); fact("environment_tier", env("CI_ENVIRONMENT_TIER"))
      if (env("type") == "deployment") fact("version", version)
      fact("ref", env("CI_COMMIT_REF_NAME")); fact("commit", commit); fact("short_commit", short)
      title = env("CI_COMMIT_TITLE")
      if (title == "") { title = env("CI_COMMIT_MESSAGE"); sub(/\n.*/, "", title) }
      fact("commit_message", title); fact("actor", actor); fact("url", env("CI_JOB_URL"))
      fact("workflow", env("CI_PIPELINE_NAME")); fact("job", env("CI_JOB_NAME")); if (env("scope") != "pipeline") fact("job_id", env("CI_JOB_ID"))
      fact("run_id", env("CI_PIPELINE_ID")); fact("run_number", env("CI_PIPELINE_IID")); fact("run_url", env("CI_PIPELINE_URL"))
      fact("pull_request", env("CI_MERGE_REQUEST_IID")); fact("status", status)
      before = COUNT
      n = split(env("metadata"), rows, "\n")
      for (i = 1; i <= n; i++) if ((at = index(rows[i], "\t"))) about(substr(rows[i], 1, at - 1), substr(rows[i], at + 1))
      has_own = COUNT > before
      about("marker_key", quoted(env("key")))
      rest = COUNT
      for (i = 3; i <= told; i++) { at = index(TOLD[i], "\t"); about(substr(TOLD[i], 1, at - 1), substr(TOLD[i], at + 1)) }
      for (i = 1; i <= COUNT; i++) all = all (i > 1 ? "," : "") quoted(NAMES[i]) ":" META[NAMES[i]]
      if ((length(all) > 16000 || COUNT > 100) && COUNT > rest) {
        COUNT = rest; all = ""
        for (i = 1; i <= COUNT; i++) all = all (i > 1 ? "," : "") quoted(NAMES[i]) ":" META[NAMES[i]]
      }
      if (length(all) > 16000 || COUNT > 100) {
        bad = "is over 100 keys or 16 KiB"; all = ""
        for (i = 1; i <= before; i++) all = all (i > 1 ? "," : "") quoted(NAMES[i]) ":" META[NAMES[i]]
        all = all "," quoted("marker_key") ":" quoted(env("key"))
      }
      if (env("receiver_url") != "") { put("key", quoted(env("key"))); put("effect", quoted(env("effect"))) }
      if (env("type") != "") put("type", quoted(env("type")), 1)
      if (name != "") put("name", quoted(name))
      # An event that a webhook has created keeps its description.
      description = with_line(description, line)
      if (description != "") put("description", quoted(description), env("description") == "" && env("command") != "close")
      put("source", quoted("gitlab_ci"), is_update)
      if (!is_update || has_own || env("command") == "close") put("metadata", "{" all "}")
      if (scope(env("buckets")) != "[]") put("buckets", scope(env("buckets")))
      if (scope(env("environments")) != "[]") put("environments", scope(env("environments")))
      if (env("started_at") != "") put("startedAt", quoted(env("started_at")), env("command") == "close")
      if (env("ended_at") != "") put("endedAt", quoted(env("ended_at")))
      print "{" FIELDS "}" >(env("work") "/body")
      print "{" CHANGES "}" >(env("work") "/changes")
      print (name == "" ? env("key") : name) >(env("work") "/name")
      if (bad) printf "%s", bad >(env("work") "/bad")
    }' </dev/null
}

command=${1:-} scope=${2:-}
folder=${CI_PROJECT_DIR:-.}
[ -w "$folder" ] || folder=.
note=$folder/.apitraffic-${CI_JOB_ID:-job}
lacking=''
for program in awk cat date mktemp od rm sed sleep tail tr; do
  command -v "$program" >/dev/null 2>&1 || lacking="$lacking${lacking:+, }$program"
done
[ -z "$lacking" ] || end_without_programs

on_error=$(input ON_ERROR)
started_at='' key='' sid=''
case $on_error in
  '' | warn | fail | ignore) ;;
  *) on_error=warn; wrong on-error "is not warn, fail or ignore" ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/apitraffic.XXXXXX") || end failed "ApiTraffic: could not create a temporary folder in ${TMPDIR:-/tmp}. Is the disk full?"
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM

metadata=$(own_metadata)
type=$(input TYPE) name=$(input NAME) description=$(input DESCRIPTION) version=$(input VERSION)
environment=$(input ENVIRONMENT) buckets=$(input BUCKETS) environments=$(input ENVIRONMENTS)
api_url=$(input API_URL) account_sid=$(input ACCOUNT_SID) receiver_url=$(input RECEIVER_URL)
token_variable=$(input TOKEN_VARIABLE) receiver_secret_variable=$(input RECEIVER_SECRET_VARIABLE)
timeout=$(input TIMEOUT_SECONDS)
timeout=${timeout% s}
: "${token_variable:=APITRAFFIC_API_TOKEN}" "${receiver_secret_variable:=APITRAFFIC_RECEIVER_SECRET}"
: "${api_url:=https://api.apitraffic.io/v1}" "${timeout:=20}"
: "${account_sid:=${APITRAFFIC_ACCOUNT_SID:-}}" "${receiver_url:=${APITRAFFIC_RECEIVER_URL:-}}"
case $timeout in
  *[!0-9]* | ????? | 0) wrong timeout-seconds "is not a whole number of seconds from 1 to 9999" ;;
esac
[ -n "$environment" ] || environment=${CI_ENVIRONMENT_NAME:-}
now=$(TEXT=$(date +%s) awk "$LIBRARY"'BEGIN { print iso(ENVIRON["TEXT"]) }' </dev/null)
outcome='' ended_at='' is_update='' is_known=no same_job='' effect=point
# With the port, unless it is the usual one, as webhooks have it. GitLab before 16.10 has no FQDN.
case ${CI_SERVER_PORT:-} in
  '' | 80 | 443) server=${CI_SERVER_HOST:-localhost} ;;
  *) server=${CI_SERVER_HOST:-localhost}:$CI_SERVER_PORT ;;
esac
base="gitlab:${CI_SERVER_FQDN:-$server}"
marker_key=$(input MARKER_KEY)

case $command in
  event)
    sid=$(input EVENT_SID)
    case $sid in *[!A-Za-z0-9_-]*) wrong event-sid "is not a SID; a SID has letters, digits, - and _ only" ;; esac
    if [ -n "$(input STARTED_AT)" ]; then time_of started-at "$(input STARTED_AT)"; started_at=$time; fi
    if [ -n "$(input ENDED_AT)" ]; then time_of ended-at "$(input ENDED_AT)"; ended_at=$time effect=close; fi
    [ -z "$sid" ] || is_update=yes
    if [ -n "$receiver_url$marker_key" ] && [ -n "$marker_key" ] && [ -z "$name" ] && [ "$type" != deployment ]; then
      is_update=yes
      [ -n "$ended_at" ] || effect=update
    fi
    [ "$effect$type" != pointincident ] || effect=open
    [ -n "$is_update" ] || : "${started_at:=$now}"
    if [ -n "$receiver_url" ] && [ -n "$sid" ] && [ -z "$marker_key" ]; then
      wrong event-sid "cannot be used with a receiver, which identifies events by marker-key. Give marker-key instead"
    fi ;;
  open | close)
    type=deployment started_at=$now
    if [ "$command" = open ]; then
      outcome=in_progress effect=open
    else
      effect=close ended_at=$now
      case ${3:-${CI_JOB_STATUS:-}} in
        success) outcome=success ;;
        canceled | cancelled) outcome=cancelled ;;
        *) outcome=failure ;;
      esac
    fi ;;
  *) wrong command "is none of event, open, close" ;;
esac
case $type in
  deployment | incident | config_change | scale | custom) ;;
  '') [ -n "$is_update" ] || wrong type "is empty; it is one of deployment, incident, config_change, scale, custom" ;;
  *) wrong type "is $type; it is one of deployment, incident, config_change, scale, custom" ;;
esac
if [ -z "$is_update" ] && [ "$type" != deployment ] && [ -z "$(line "$name" 200)" ]; then
  wrong name "is empty; say what happened, for example: Feature flag new-cart turned on"
fi

if [ -n "$marker_key" ]; then
  key=$marker_key is_known=yes
elif [ "$type" = deployment ] && [ "$scope" = pipeline ]; then
  key="$base:pipeline:${CI_PIPELINE_ID:-0}:$environment" is_known=yes
elif [ "$type" = deployment ] && [ -n "$environment" ]; then
  key="$base:job:${CI_JOB_ID:-0}" is_known=yes same_job=${CI_JOB_ID:-0}
else
  key="$base:job:${CI_JOB_ID:-0}:event:$(random 8)"
fi
key=$(marker_key "$key")

if [ "$command" = close ]; then
  kept_key='' kept_sid='' kept_time=''
  if [ "$scope" = pipeline ]; then
    if [ "${APITRAFFIC_PIPELINE_KEY:-}" = "$key" ]; then
      kept_sid=${APITRAFFIC_PIPELINE_SID:-} kept_time=${APITRAFFIC_PIPELINE_STARTED_AT:-}
    fi
  elif [ -f "$note" ] && [ ! -L "$note" ]; then
    { read -r kept_key; read -r kept_sid; read -r kept_time; } <"$note" || :
    [ -z "$kept_key" ] || key=$(line "$kept_key" 300)
  fi
  case $kept_sid in *[!A-Za-z0-9_-]*) ;; *) sid=$kept_sid ;; esac
  [ -n "$kept_time" ] || kept_time=${CI_JOB_STARTED_AT:-}
  [ "$scope$kept_time" != "pipeline${CI_JOB_STARTED_AT:-}" ] || kept_time=${CI_PIPELINE_CREATED_AT:-}
  kept_time=$(TEXT=$kept_time awk "$LIBRARY"'BEGIN { s = epoch(ENVIRON["TEXT"]); if (s != "") print iso(s, MS) }' </dev/null)
  [ -z "$kept_time" ] || started_at=$kept_time
  is_known=yes
  [ -z "$sid" ] || is_update=''
fi

before=''
export type name description version environment buckets environments metadata key outcome is_update command scope effect \
  started_at ended_at same_job work receiver_url before
composed
[ ! -s "$work/bad" ] || say "ApiTraffic: the input metadata $(cat "$work/bad"); the event is sent without the part that could not be read." 33
message_id="msg_$(random 12)"

case $(input DRY_RUN) in *true) is_dry=yes ;; *) is_dry='' ;; esac
if [ -n "$is_dry" ]; then
  say "ApiTraffic: dry run, nothing was sent. The event:"
  if [ -n "$sid" ]; then cat "$work/changes"; else cat "$work/body"; fi
  end skipped
fi
configured
from=$(TEXT=${started_at:-$now} awk "$LIBRARY"'BEGIN { print iso(epoch(ENVIRON["TEXT"]) - 3600) }' </dev/null)
to=$(TEXT=${started_at:-$now} awk "$LIBRARY"'BEGIN { print iso(epoch(ENVIRON["TEXT"]) + 3600) }' </dev/null)
earlier
deliver
