"""Take secrets out of text before it leaves the machine. Pure: known shapes, names that announce a secret, randomness.

What is taken out leaves its kind, as in `password=[redacted:secret]`, and as many newlines as before: the numbers of
lines stay. When in doubt it goes: a log explains itself without it. Linear in the length of the text, whatever it is.
"""

import binascii
import re
from base64 import b64decode
from collections import Counter
from itertools import pairwise
from math import log2

_FLAGS = re.IGNORECASE
_NOT_BEFORE = r"(?<![A-Za-z0-9])"

_TOKENS = (
    r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    r"AIza[\w-]{30,}|ya29\.[\w.-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{30,}",  # Google
    r"[\w~.]{3}[78]Q~[\w~.-]{25,}",  # Azure client secrets
    r"gh[a-z]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|v1\.[0-9a-f]{40}",
    r"gl[a-z]{2,6}-[\w.-]{16,}|GR1348941[\w-]{20}",
    r"xox[a-z](?:\.xox[a-z])?-[\w-]{8,}|xapp-\d-[\w-]{8,}",  # Slack
    r"(?:sk|rk|pk)_(?:live|test)_\w{10,}|whsec_[\w+/=]{16,}",  # Stripe
    r"eyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*){0,3}",  # JWT, JWE
    r"npm_\w{30,}|pypi-[\w-]{16,}|rubygems_[0-9a-f]{32,}|NuGet-\w{20,}|oy2[a-z0-9]{43}",
    r"sk-[\w-]{20,}|hf_[A-Za-z0-9]{20,}|gsk_\w{20,}|xai-\w{20,}|r8_\w{30,}|pplx-\w{20,}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}|(?:SK|AC)[0-9a-f]{32}|key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}",  # mail, phone
    r"(?:bot)?\d{8,10}:AA[\w-]{30,}|[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}",  # Telegram, Discord
    r"do[opr]_v1_[0-9a-f]{40,}|HRKU-[\w-]{30,}|dapi[0-9a-f]{32}|dckr_(?:pat|oat)_[\w-]{20,}",
    r"hv[sbr]\.[\w-]{20,}|[a-zA-Z0-9]{14}\.atlasv1\.[\w-]{40,}|AGE-SECRET-KEY-1[A-Z0-9]{20,}",  # HashiCorp, age
    r"shp(?:at|ca|pa|ss)_[0-9a-f]{32}|sq0[a-z]{3}-[\w-]{22,}|EAAA[\w-]{40,}|EAAC[A-Za-z0-9]{40,}",
    r"glsa_\w{30,}|glc_[\w+/=]{30,}|NRAK-[A-Z0-9]{20,}|sntry[su]_[\w+/=-]{30,}|PMAK-[\w-]{30,}",
    r"lin_api_\w{30,}|ntn_\w{30,}|secret_\w{40,}|pscale_\w{2,10}_[\w.-]{20,}|sbp_[0-9a-f]{40}|dp\.[a-z]{2}\.\w{30,}",
    r"ATATT3[\w=-]{20,}|ATCTT3[\w=-]{20,}|pat[A-Za-z0-9]{14}\.[0-9a-f]{64}|fm[12][a-z]?_[\w+/=,-]{20,}|sl\.[\w-]{60,}",
    r"FwoGZXIvYXdz[\w+/=%-]{20,}|IQoJb3JpZ2lu[\w+/=%-]{20,}",  # AWS session tokens
)
_PREFIXED = re.compile(_NOT_BEFORE + "(?:" + "|".join(_TOKENS) + ")")
_HASH = re.compile(r"\$(?:2[abxy]|argon2\w{1,2}|[156y]|7|scrypt|pbkdf2[\w-]{0,12})\$[^\s:'\"]{12,300}")
_HOOK = re.compile(
    r"(hooks\.slack\.com/(?:services|workflows)/|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/"
    r"|api\.telegram\.org/bot|hooks\.zapier\.com/hooks/catch/)[^\s\"'<>]{8,400}"
)
_URL = re.compile(r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{1,30}(?:://|%3A%2F%2F))([^\s\"'<>]{1,256})(@|%40)", _FLAGS)
_DSN = re.compile(
    r"(?<![\w.%\[-])([\w.%-]{1,64}:|\w{1,64}/(?=[^\s:@/]{2,128}@//))[^\s:@/]{2,128}(@//|@(?:tcp|udp|unix)?\(|@[\w.-]{1,100}(?::\d{2,5}|/\w))"
)

_HEADER = re.compile(
    r"((?:proxy-)?authorization|(?:set-)?cookie2?|(?<![\w-])x-[a-z-]{0,30}(?:token|key|secret|signature|authorization|session))"
    r"((?:\\?[\"']|%22)?[ \t]{0,4}(?::|=>|%3A)[ \t]{0,4}(?:\\?[\"'\[]|%22){0,2})(?!redacted:)([^\r\n\"'\\]{1,8192})",
    _FLAGS,
)
_SCHEME = re.compile(
    r"(?<!\w)((?:Bearer|Basic|Negotiate|AWS4-HMAC-SHA256|AUTH (?:PLAIN|LOGIN))(?:[ \t]{1,4}|%20|\+))([\w.~+/=%,-]{8,})",
    _FLAGS,
)

_NAME = (
    r"(?:pass(?:word|wd|code|[ _-]?phrase)|(?<![a-z])pwd|(?<![a-z])pass|secret|(?<!unexpected )token"
    r"|(?:api|access|account|private|shared|secret|master|encryption|signing|encrypt|license|storage|deploy|service|ssh|"
    r"auth|hmac|aes|jwt|preshared|pre-shared|session|consumer|client|app|admin)[_ .-]?key"
    r"|credentials?|session[_.-]?id|(?:php|j|asp)[a-z]{0,6}sess(?:ion)?id|connect\.sid|csrf|xsrf|signature|(?<=[?&;])sig"
    r"|(?<=[?&])code|(?<![a-z])otp|(?<=_)auth|AuthKey|SharedAccessKey|AccountKey|X-Amz-Credential)"
    r"(?:[_-]?(?:key|base|hash|value|string|token|id|\d{1,3})){0,2}"
)
_QUOTE = r"(?:\\{0,3}[\"']|%22|%27|&quot;)"
_SIGN = r"(?::=|=>|[:=]|%3A|%3D)"
_BARE = r"(?:[^\s\"'<>,;&){}\]|]|[,;)}](?=[^\s\"'<>,;&])(?![\w ]{1,30}=)){1,4096}"
_NAMED = re.compile(
    rf"({_NAME}{_QUOTE}?\]?[ \t]{{0,8}}{_SIGN}(?:[ \t]{{0,8}}[|>][+-]?[ \t]{{0,8}}\r?\n[ \t]{{1,80}}|[ \t]{{0,8}}))"
    r"(?:(\\{0,3}\"|&quot;|%22)([\s\S]{1,4096}?)(?:\2|\Z)|'((?:[^'\\\n]|\\.){1,4096})(?:'|$)"
    rf"|({_BARE}))",
    _FLAGS | re.MULTILINE,
)
_JSON = re.compile(rf"(\"[\w.-]{{0,40}}{_NAME}\"\s{{0,8}}:\s{{0,80}}\")((?:[^\"\\]|\\[\s\S]){{1,8192}})", _FLAGS)
_ELEMENT = re.compile(rf"(<[\w:.-]{{0,40}}{_NAME}>)([^<]{{1,4096}})", _FLAGS)
_PAIR = re.compile(  # as containers are given their environment
    rf"(name[\"']?\s{{0,4}}[:=]\s{{0,4}}[\"']?[\w.-]{{0,60}}{_NAME}[\"']?[,\s-]{{1,80}}[\"']?value[\"']?\s{{0,4}}[:=]\s{{0,4}}[\"']?)"
    r"([^\s\"',}]{1,4096})",
    _FLAGS,
)
_TOLD = re.compile(
    r"((?:--?(?:password|passwd|pass|token|secret|api-?key|access-?key|secret-?key|private-?key|auth-?token|passphrase)"
    r"[ \t]{1,4}|identified[ \t]{1,4}by[ \t]{1,4}(?:password[ \t]{1,4})?"
    r"|(?:password|passphrase|passcode|secret|token)[ \t]{1,4}(?:(?:is|was|of)[ \t]{1,4}|(?=[\"']\S))"
    r"|password[ \t]for[ \t](?:user[ \t])?\S{1,64}:[ \t]{1,4}"
    r"|(?<=sshpass )-p[ \t]{0,4}|(?:mysql|mysqldump|mariadb)[^\n|;]{0,120}?[ \t]-p(?=[^\s-])"
    r"|(?:curl|wget|http)[^\n|;]{0,200}?[ \t](?:-u|--user|-U|--proxy-user)[ \t=]{0,4}[\"']?[^\s:\"']{1,64}:)[\"']?)"
    r"([^\s\"']{2,512})",
    _FLAGS,
)
_NO_VALUE = re.compile(
    r"(?:null|none|nil|true|false|undefined|required|missing|invalid|expired|empty|not|is|was|has|for|the|too|about|already|now|only|correct|being|stored|no|longer|unset|ok|bearer|basic"
    r"|failed|failure|error|wrong|incorrect|rejected|denied|accepted|changed|set|yes|no|n/a|\*+|x+|\.+|<.*|\$\{?\w*\}?|\{\{.*"
    r"|%\(?\w*\)?s|\[redacted.*|env|optional|string|str|file|/[\w./-]*)[.,:;)]?",
    _FLAGS,
)

_CARD = re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\w-])")
_IBAN = re.compile(r"(?<![\w-])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![\w-])")
_SOCIAL = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_EMAIL = re.compile(
    r"(?<![\w.+%-])(?!git@)[\w.+%-]{1,64}(?:@|%40)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,4}(?![\w(])", _FLAGS
)
_BLOB = re.compile(r"(?<![\w+/=%-])[\w+/=%-]{20,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", _FLAGS)
_HEX = re.compile(r"[0-9a-fA-F]+")
_FINGERPRINT = re.compile(r"(?:SHA(?:1|256|384|512)|MD5)[:=-]", _FLAGS)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_HEX_LENGTHS = frozenset({20, 24, 32, 40, 56, 64, 96, 128})
"""Of ids and of the usual hashes, which logs are full of; a key of such a length is told by its name."""


def redact(text: str) -> str:
    """Return the text with every secret in it replaced by `[redacted:KIND]`, with as many newlines as before."""
    return _named(_shapes(_private_keys(text)))


def redact_lines(lines: list[str]) -> list[str]:
    """Return lines redacted together, for a secret may span several: as many as were given."""
    return redact("\n".join(line.replace("\n", " ") for line in lines)).split("\n") if lines else []


def _shapes(text: str) -> str:
    text = _HEADER.sub(lambda m: m[1] + m[2] + _gone("header", m[3]), text)
    text = _HOOK.sub(lambda m: m[1] + "[redacted:webhook]", text)
    text = _URL.sub(_url, text)
    text = _DSN.sub(lambda m: f"{m[1]}[redacted:password]{m[2]}", text)
    text = _PREFIXED.sub("[redacted:token]", text)
    text = _HASH.sub("[redacted:hash]", text)
    return _SCHEME.sub(_scheme, text)


def _named(text: str) -> str:
    text = _JSON.sub(lambda m: m[1] + _gone("secret", m[2]), text)
    text = _ELEMENT.sub(lambda m: m[1] + _gone("secret", m[2]), text)
    text = _PAIR.sub(lambda m: m[1] + "[redacted:secret]", text)
    text = _NAMED.sub(_value, text)
    text = _TOLD.sub(lambda m: m[0] if _NO_VALUE.fullmatch(m[2]) else m[1] + "[redacted:secret]", text)
    text = _CARD.sub(lambda m: "[redacted:card]" if _luhn(m[0]) else m[0], text)
    text = _IBAN.sub(lambda m: "[redacted:account]" if _iban(m[0]) else m[0], text)
    text = _SOCIAL.sub("[redacted:number]", text)
    text = _EMAIL.sub("[redacted:email]", text)
    return _BLOB.sub(lambda m: _blob(m[0], text[max(0, m.start() - 8) : m.start()]), text)


def _gone(kind: str, what: str) -> str:
    return f"[redacted:{kind}]" + "\n" * what.count("\n")


def _private_keys(text: str) -> str:
    """Take out PEM and PGP private keys, whole or cut."""
    if "PRIVATE KEY" not in text:
        return text
    kept: list[str] = []
    at = 0
    while (begin := text.find("-----BEGIN ", at)) >= 0:
        head = text[begin : begin + 80]
        if "PRIVATE KEY" not in head:
            kept.append(text[at : begin + 11])
            at = begin + 11
            continue
        end = text.find("-----END ", begin)
        close = text.find("-----", end + 9, end + 80) if end >= 0 else -1
        stop = len(text) if end < 0 else close + 5 if close >= 0 else min(len(text), end + 9)
        kept += (text[at:begin], _gone("private key", text[begin:stop]))
        at = stop
    return "".join(kept) + text[at:]


def _url(match: re.Match[str]) -> str:
    scheme, before, sign = match.groups()
    user, colon, password = before.partition(":" if ":" in before else "%3A")
    host_first = re.search(r"[/?#]", user)
    if host_first or before.startswith("[redacted:"):  # no user, but an @ in the path: a colon there is no password
        return match[0]
    if not colon:
        return f"{scheme}[redacted:user]{sign}" if len(user) >= 8 else match[0]
    if re.fullmatch(r"\d{1,5}[/?#].*", password):
        return match[0]
    return f"{scheme}{user}:[redacted:password]{sign}"


def _scheme(match: re.Match[str]) -> str:
    value = match[2]
    plain = value.isalpha() and (value.islower() or value.istitle())
    return match[0] if plain and len(value) < 20 else match[1] + "[redacted:token]"


def _value(match: re.Match[str]) -> str:
    quoted, single, bare = match[3], match[4], match[5]
    what = next(part for part in (quoted, single, bare) if part is not None)
    if _NO_VALUE.fullmatch(what) or (bare and _harmless(match[1], bare)):
        return match[0]
    mark = match[2] or ("'" if single is not None else "")
    closed = mark if quoted is None or match[0].endswith(mark) else ""
    return match[1] + mark + _gone("secret", what) + closed


def _harmless(name: str, bare: str) -> bool:
    """Whether a bare value is no secret: `pass=12 fail=3`, and what is only punctuation."""
    counted = name.lower().startswith("pass") and not name[4:5].isalpha() and len(bare) < 4
    return counted or not any(map(str.isalnum, bare))


def _luhn(number: str) -> bool:
    digits = [int(c) for c in number if c.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _iban(number: str) -> bool:
    plain = number.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _blob(blob: str, before: str) -> str:
    """Judge what may be a key that nothing announces, by how random it looks."""
    if _UUID.fullmatch(blob) or _FINGERPRINT.match(blob) or _FINGERPRINT.search(before):
        return blob
    said = _decoded(blob)
    if said is not None:
        return "[redacted:encoded]" if _named(_shapes(said)) != said else blob
    return "[redacted:key]" if _random(blob) else blob


def _decoded(blob: str) -> str | None:
    """Return the text that base64 hides, None if it hides none."""
    if not _BASE64.fullmatch(blob) or len(blob) > 65_536:
        return None
    try:
        raw = b64decode(blob.rstrip("=") + "=" * (-len(blob.rstrip("=")) % 4), altchars=b"-_" if "-" in blob else None)
        text = raw.decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return text if all(c.isprintable() or c in "\t\r\n" for c in text) else None


def _random(blob: str) -> bool:
    """Whether the kinds of its characters change as in a key, not as in words, names and numbers."""
    pieces = blob.strip("=-_/+%").split("/")
    if blob.startswith("/") or len(blob) < 8 * len(pieces):
        return any(len(piece) >= 20 and _piece_random(piece, whole=False) for piece in pieces)
    return _piece_random("/".join(pieces), whole=len(pieces) == 1)


def _piece_random(piece: str, *, whole: bool) -> bool:
    """Say it of a piece; where it is but a part of a path, what might be the digest of a file is none."""
    if _HEX.fullmatch(piece):
        return whole and len(piece) >= 32 and len(piece) not in _HEX_LENGTHS and not piece.isdecimal()
    kinds = [_kind(c) for c in piece]
    if {"a", "A"} <= set(kinds):
        shouted = sum(a == b == "A" for a, b in pairwise(kinds)) / len(kinds)  # camel case has no two capitals in a row
        mixed = _changes(piece) >= 0.38 or (_changes(piece) >= 0.33 and len(piece) >= 36)
        return mixed and _entropy(piece) >= 3.5 and ("0" in kinds or shouted >= 0.1)
    return whole and any(
        len(part) >= 32 and not _HEX.fullmatch(part) and _changes(part) >= 0.25 and _entropy(part) >= 3.5
        for part in re.split(r"[^A-Za-z0-9]+", piece)
    )


def _kind(c: str) -> str:
    return "a" if c.islower() else "A" if c.isupper() else "0" if c.isdigit() else "-"


def _changes(text: str) -> float:
    """Return how often a letter or digit is followed by one of another kind."""
    pairs = [(a, b) for a, b in pairwise(map(_kind, text)) if a != "-" != b]
    return sum(a != b for a, b in pairs) / max(1, len(pairs))


def _entropy(text: str) -> float:
    """Bits a character."""
    return -sum(n / len(text) * log2(n / len(text)) for n in Counter(text).values())
