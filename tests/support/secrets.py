"""Lines of logs with secrets in them, of many shapes, made up anew for each seed; none was ever valid anywhere.

In a shape, `{KIND:N}` is a made-up secret part of N characters; everything so made must be gone after redaction.
"""

import base64
import random
import re
import string
from urllib.parse import quote

_ALPHABETS = {
    "b62": string.ascii_letters + string.digits,
    "b64": string.ascii_letters + string.digits + "+/",
    "url": string.ascii_letters + string.digits + "-_",
    "hex": "0123456789abcdef",
    "up": string.ascii_uppercase + string.digits,
    "low": string.ascii_lowercase + string.digits,
    "dig": string.digits,
    "sym": string.ascii_letters + string.digits + "!#$*+^~",
}
_WORDS = ("hunter2", "correcthorse", "Tr0ub4dor", "s3cr3t!x", "qwertz99", "letmein2", "Sommer2026", "geheim77")

SHAPES = (
    # clouds
    "aws_access_key_id = AKIA{up:16}",
    "using ASIA{up:16} in eu-west-1",
    "aws_secret_access_key = {b64:40}",
    'env: {"AWS_SECRET_ACCESS_KEY": "{b64:40}"}',
    "key id and key: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "retrying with credentials {b62:20}/{b62:19}",
    "AWS_SESSION_TOKEN=FwoGZXIvYXdz{b64:120}",
    "GET https://b.s3.amazonaws.com/o?X-Amz-Credential=AKIA{up:16}%2F20260301&X-Amz-Signature={hex:64}",
    "key=AIza{url:35} quota exceeded",
    "gcloud: ya29.{url:60} is no longer valid",
    "GOCSPX-{url:28}",
    '"private_key_id": "{hex:40}",',
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={b64:86}==;EndpointSuffix=core.windows.net",
    "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={b64:43}=",
    "https://a.blob.core.windows.net/c?sv=2026-01-01&sig={b62:30}%2B{b62:12}%3D",
    "AADSTS7000215: Invalid client secret {b62:3}8Q~{b62:34}",
    "dop_v1_{hex:64}",
    "HRKU-{hex:8}-{hex:4}-{hex:4}-{hex:4}-{hex:12}",
    "dapi{hex:32}",
    # code and packages
    "remote: ghp_{b62:36} has expired",
    "github_pat_{b62:22}_{b62:59}",
    "ghs_{b62:36}",
    "glpat-{url:20} denied",
    "gldt-{url:20}",
    "fatal: unable to access 'https://oauth2:glpat-{url:20}@gitlab.example.com/a/b.git/'",
    "fatal: Authentication failed for 'https://{b62:24}@git.example.com/a.git'",
    "//registry.npmjs.org/:_authToken=npm_{b62:36}",
    "//npm.example.com/:_auth={b64:24}",
    "pypi-AgEIcHlwaS5vcmc{url:80}",
    "rubygems_{hex:48}",
    "dckr_pat_{url:27}",
    '{"auths":{"r.example.com":{"auth":"{b64:32}"}}}',
    # chat, mail, money, models
    "xoxb-{dig:12}-{dig:12}-{b62:24}",
    "xapp-1-A{up:10}-{dig:13}-{hex:64}",
    "POST https://hooks.slack.com/services/T{up:8}/B{up:8}/{b62:24} 404",
    "https://discord.com/api/webhooks/{dig:18}/{url:68}",
    "bot{dig:10}:AA{url:33} polling",
    "sk_live_{b62:24}",
    "stripe: rk_test_{b62:24} lacks permission",
    "whsec_{b64:32}",
    "SG.{url:22}.{url:43}",
    "key-{hex:32}",
    "twilio SK{hex:32}",
    "OPENAI_API_KEY=sk-proj-{url:64}",
    "sk-ant-api03-{url:93}",
    "hf_{b62:34}",
    "shpat_{hex:32}",
    "hvs.{url:90}",
    "glsa_{b62:32}_{hex:8}",
    "ATATT3x{url:100}={up:8}",
    # tokens and headers
    "jwt eyJhbGciOiJIUzI1NiJ9.eyJ{url:40}.{url:43} expired",
    "Authorization: Bearer {url:40}",
    "> Authorization: Basic {b64:24}==",
    '"authorization": "Token {hex:40}"',
    "headers={'Authorization': 'Bearer {url:32}', 'Accept': '*/*'}",
    "curl -H 'X-Api-Key: {hex:32}' https://x.example",
    "Proxy-Authorization: Digest username=u, response={hex:32}",
    "authorization: AWS4-HMAC-SHA256 Credential=AKIA{up:16}/20260301, Signature={hex:64}",
    "sending bearer {url:32} to upstream",
    "Cookie: theme=dark; sid={url:32}; lang=de",
    "Set-Cookie: JSESSIONID={up:32}; Path=/; HttpOnly",
    "PHPSESSID={low:26}; path=/",
    "callback ?state=x&code={url:43}&scope=a",
    "access_token={url:40}&expires_in=3600",
    "'refresh_token': '{url:50}'",
    "X-Vault-Token: s.{b62:24}",
    "x-csrf-token={b62:20}",
    # passwords
    "password={word:0}",
    "PASSWORD: {word:0}",
    "db_password = '{word:0} and more {word:0}'",
    "connecting with user=app passwd={word:0} host=db",
    "PGPASSWORD={word:0} psql -h db",
    '{"user": "ann", "password": "{word:0}\\"{word:0}", "n": 1}',
    '{\\"password\\": \\"{word:0}\\"}',
    "{'dbPassword': '{word:0}'}",
    "config: password: |\n    {word:0}\nhost: db",
    '"client_secret":\n    "{b62:32}"',
    "user=ann&password={word:0}&x=1",
    "body=user%3Dann%26password%3D{word:0}",
    "payload=%7B%22password%22%3A%22{word:0}%22%7D",
    "mysql -u root -p{word:0} shop",
    "sshpass -p {word:0} ssh h",
    "curl -u ann:{word:0} https://x.example/",
    "app --password {word:0} --verbose",
    "tool --api-key={hex:32}",
    "CREATE USER a IDENTIFIED BY '{word:0}'",
    "the password is {word:0}",
    "Password for user app: {word:0}",
    "using keyfile password '{word:0}' for the store",
    "password=p,{word:0};{word:0}) refused",
    "env:\n  - name: DB_PASSWORD\n    value: {word:0}",
    "AUTH PLAIN {b64:24}",
    "jdbc:oracle:thin:scott/{word:0}@//host:1521/svc",
    "<password>{word:0}</password>",
    'password="{word:0}',
    "Server=db;User Id=sa;Pwd={word:0};Encrypt=yes",
    "SECRET_KEY_BASE={hex:128}",
    "django SECRET_KEY = '{sym:50}'",
    "passphrase for key: passphrase={word:0}",
    # URLs and connection strings
    "postgresql://app:{word:0}@db.example.com:5432/shop",
    "redis://:{word:0}@cache:6379/0",
    "amqp://guest:{word:0}%40{word:0}@mq/vhost",
    "mongodb+srv://u:{word:0}@c0.mongodb.net/db",
    "https://ann:{word:0}/x@host/path",
    "next=https%3A%2F%2Fann%3A{word:0}%40host%2F",
    "app:{word:0}@tcp(db:3306)/shop?parseTime=true",
    "proxy http://ann:{word:0}@proxy:3128 refused",
    # keys and blobs
    "-----BEGIN RSA PRIVATE KEY-----\n{b64:64}\n{b64:64}\n{b64:40}==\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{b64:70}\n{b64:70}",
    '"private_key": "-----BEGIN PRIVATE KEY-----\\n{b64:64}\\n{b64:64}\\n-----END PRIVATE KEY-----\\n"',
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{b64:64}\n={b64:4}\n-----END PGP PRIVATE KEY BLOCK-----",
    "Mar 01 h app: {b64:64}\nMar 01 h app: {b64:64}",
    "PrivateKey = {b64:43}=",
    "AGE-SECRET-KEY-1{up:58}",
    "loaded {b62:44} from vault",
    "root:$6${b62:16}${b62:86}:19000:0:99999:7:::",
    "hash $2b$12${b62:53}",
    "otpauth://totp/x?secret={up:32}&issuer=x",
    "{b64of:password=}",
    "{b64of:postgres://app:}",
    # people's numbers
    "charged card {card:0}",
    "card={card:4}",
    "IBAN {iban:0}",
    "welcome mail to {mail:0}",
)


def lines(seed: int) -> list[tuple[str, list[str]]]:
    """Return every shape filled, with the secrets in it."""
    chance = random.Random(seed)
    return [_filled(shape, chance) for shape in SHAPES]


def _filled(shape: str, chance: random.Random) -> tuple[str, list[str]]:
    secrets: list[str] = []

    def made(match: re.Match[str]) -> str:
        text = _made(match[1], match[2], chance)
        secrets.append(text)
        return text

    return re.sub(r"\{(\w+):([^{}]*)\}", made, shape), secrets


def _made(kind: str, how: str, chance: random.Random) -> str:
    if kind == "word":
        return chance.choice(_WORDS)
    if kind == "b64of":
        return base64.b64encode((how + chance.choice(_WORDS) + "@host/x").encode()).decode()
    if kind == "card":
        return _card(chance, int(how))
    if kind == "iban":
        return _iban(chance)
    if kind == "mail":
        return f"{chance.choice(('ann', 'bob.smith', 'c+x'))}@{chance.choice(('example.com', 'mail.example.co.uk'))}"
    return "".join(chance.choices(_ALPHABETS[kind], k=int(how)))


def _card(chance: random.Random, groups: int) -> str:
    digits = chance.choice("45") + "".join(chance.choices(string.digits, k=14))
    for last in string.digits:
        number = digits + last
        doubled = sum(sum(divmod(2 * int(d), 10)) for d in number[-2::-2])
        if (sum(int(d) for d in number[-1::-2]) + doubled) % 10 == 0:
            return " ".join(re.findall("....", number)) if groups else number
    raise AssertionError


def _iban(chance: random.Random) -> str:
    account = "".join(chance.choices(string.digits, k=18))
    check = 98 - int(account + "131400") % 97
    return f"DE{check:02}{account}"


def encoded(text: str) -> str:
    """Return a text percent-encoded, as it stands in a query."""
    return quote(text, safe="")


ORDINARY = (
    "2026-03-01T09:00:01.250Z INFO worker-3 finished task 0b9e7c9e-5d0c-4a5e-9d53-0d6b6dbe9f2a in 120 ms",
    "HEAD is now at 4f2a9c1be Fix the thing",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "md5 d41d8cd98f00b204e9800998ecf8427e  file.tar.gz",
    "ED25519 key fingerprint is SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDH1JYuKFeEcSzVAkY",
    "/usr/lib/python3.11/site-packages/requests/adapters.py:519: UserWarning",
    "/var/lib/docker/overlay2/3f4e5d6c7b8a99887766554433221100ffeeddccbbaa00112233445566778899/merged",
    "Traceback (most recent call last):",
    '  File "/srv/app/main.py", line 42, in <module>',
    "ConnectionRefusedError: [Errno 111] Connection refused",
    "FATAL: password authentication failed for user app",
    "error: token expired, log in again",
    "SyntaxError: Unexpected token '}' at line 3",
    "JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    "input_tokens=512 output_tokens=128 max_tokens=4096",
    "pass: 12 fail: 3 skip: 0",
    "Enter password: ",
    "password: ********",
    "secret: null, token: undefined",
    "DB_PASSWORD=${DB_PASSWORD} docker compose up",
    "PWD=/home/app",
    "git@github.com:example/repo.git: Permission denied (publickey).",
    "Cloning into 'repo' from https://github.com/example/repo.git",
    "GET https://api.example.com/v1/users/42?page=2&sort=name 200 12ms",
    "https://example.com:8443/@scope/package",
    "connect to 10.251.71.97:55517 from [2001:db8::1]:443",
    "blk_-7878121102358435702 of size 67108864",
    "attempt_1445144423722_0020_m_000003_0: Container killed by the ApplicationMaster",
    "org.apache.hadoop.mapreduce.v2.app.job.event.JobFinishEvent$Type",
    "Failed to renew lease for [DFSClient_NONMAPREDUCE_1537864556_1] for 258 seconds",
    "pod/my-service-7d4b9c6f5-x2x9z evicted",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
    "timestamp 1767225600 nanos 1767225600123456789",
    "order 1234567890123 shipped",
    "Sun Mar  1 02:38:22 2026 rotated logs",
    "aGVsbG8gd29ybGQgYWdhaW4= decoded to hello world again",
    "value c29tZSBvcmRpbmFyeSB0ZXh0 is base64",
    "getElementsByClassNameAndTagName is not a function",
    "AbstractSingletonProxyFactoryBean2 failed",
    "THIS_IS_A_LONG_CONSTANT_NAME_2 = 3",
    "libssl1.1_1.1.1n-0+deb11u3_amd64.deb",
    "registry.example.com/team/image:2026.03.01-4f2a9c1",
    "Killed process 4242 (python3) total-vm:123456kB, anon-rss:65432kB",
    'rsync: [sender] send_files failed to open "/data/x": Permission denied (13)',
    'psql: error: connection to server at "db" (10.0.0.5), port 5432 failed',
    "authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=10.0.0.1  user=root",
    "Basic authentication is required",
    "bearer of bad news: the disk is full",
    "key not found: settings.theme",
    "KeyError: 'name'",
    "primary key constraint violated",
    "session opened for user root by (uid=0)",
    "████ 45% 12.5 MB/s ETA 00:12",
    "0xdeadbeefcafebabe at 0x7f3a2c001000",
    "ULID 01ARZ3NDEKTSV4RRFFQ69G5FAV created",
    "nix: /nix/store/b6gvzjyb2pg0kjfwrjmg1vfhh54ad73z-firefox-33.1",
    "exit status 1",
    "the token is about to expire; the password is too short",
    "pull registry.example.com/team/image@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
)
"""Lines that say what went wrong and hold no secret."""
