"""Ways of writing a target that no webhook may reach, from published lists; with what they stand for.

Sources: PayloadsAllTheThings, "Server Side Request Forgery" with its page on clouds (https://github.com/swisskyrepo/PayloadsAllTheThings),
which names the work of others (DEFCON 29, Black Hat 2017 and so on); OWASP's cheat sheet on the prevention of SSRF
(https://cheatsheetseries.owasp.org), for the kinds of addresses, redirects and names that change; the special addresses are those
of the IANA registries; the metadata addresses are those that the clouds document, Azure's WireServer among them.
"""

from __future__ import annotations

LOOPBACK = (
    "http://127.0.0.1:80", "http://127.0.0.1:443", "http://0.0.0.0:80", "http://0.0.0.0:443", "http://localhost:80",
    "http://localhost:443", "https://127.0.0.1/", "https://localhost/", "http://LOCALHOST/", "http://localhost./",
    "http://a.localhost/", "http://[::]:80/", "http://[::1]/", "http://[0000::1]:80/", "http://[0:0:0:0:0:0:0:1]/",
    "http://127.127.127.127", "http://127.0.1.3", "http://127.0.0.0", "http://2130706433/", "http://017700000001/",
    "http://0x7f000001/", "http://0x7f.0x0.0x0.0x1/", "http://0X7F.1/", "http://0177.0.0.1/", "http://00000177.0.0.1/",
    "http://127.1", "http://127.0.1", "http://0/", "http://0x0/", "http://127.0.0.1./", "http://127.1./",
    "http://[0:0:0:0:0:ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/", "http://[64:ff9b:1::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", "http://[::1%25lo]/", "http://[::1%lo]/", "http://①②⑦.⓪.⓪.①/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "http://127\u30020\u30020\u30021/", "http://127\uff0e0\uff0e0\uff0e1/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://127.0.0.1/%61dmin", "http://127.0.0.1/%2561dmin", "http://[::ffff:0:127.0.0.1]/",
    "http://[::1%25eth0]/", "http://127.0.0.1:2375/v1.24/containers/json", "http://127.0.0.1:2379/v2/keys/?recursive=true",
    "http://localhost:9001/2018-06-01/runtime/invocation/next", "http://127\u20240\u20240\u20241/", "http://loc\u00adalhost/",
    "http://loc\u200balhost/", "http://127\u034f.0.0.1/",
)  # fmt: skip
PRIVATE = (
    "http://3232235521/", "http://3232235777/", "http://192.168.0.1/", "http://192.168.257/", "http://0xc0.0xa8.0.1/",
    "http://10.0.0.1/", "http://10.1/", "http://012.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/",
    "http://[fc00::1]/", "http://[fd12:3456:789a::1]/", "http://[fe80::1]/", "http://[fec0::1]/", "http://[::ffff:10.0.0.1]/",
    "http://100.64.0.1/",
)  # fmt: skip
METADATA = (
    "http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/",
    "http://169.254.43518/", "http://169.16689662/", "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/",
    "http://[0:0:0:0:0:ffff:169.254.169.254]", "http://[fd00:ec2::254]/", "http://169.254.170.2/v2/credentials/",
    "http://100.100.100.200/latest/meta-data/", "http://192.0.0.192/latest/", "http://169.254.169.253/",
    "http://0xA9.0xFE.0xA9.0xFE/", "http://0251.00376.000251.0000376/", "http://0251.254.169.254/",
    "http://[0:0:0:0:0:ffff:a9fe:a9fe]/", "http://425.510.425.510/", "http://7147006462/", "http://0x41414141A9FEA9FE/",
    "http://168.63.129.16/machine?comp=goalstate", "http://2822734096/", "http://[::ffff:168.63.129.16]/",
    "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::1]/", "http://[::169.254.169.254]/",
)  # fmt: skip
SPECIAL = (
    "http://192.0.2.1/", "http://198.51.100.1/", "http://203.0.113.1/", "http://198.18.0.1/", "http://198.19.255.255/",
    "http://192.88.99.1/", "http://224.0.0.1/", "http://239.255.255.250/", "http://240.0.0.1/", "http://255.255.255.255/",
    "http://[ff02::1]/", "http://[2001:db8::1]/", "http://[2001:10::1]/", "http://[100::1]/", "http://[3fff::1]/",
    "http://[5f00::1]/", "http://[4000::1]/", "http://[2620:4f:8000::1]/", "http://[2001::1]/", "http://[2002:808:808::1]/",
    "http://[::8.8.8.8]/", "http://[64:ff9b:1::808:808]/", "http://[64:ff9b:1:a00:1:0:808:808]/",
)  # fmt: skip
PORTS = ("http://example.com:22/", "http://example.com:25/", "http://example.com:6379/", "http://example.com:3128/")
SCHEMES = (
    "file:///etc/passwd", "file://path/to/file", "dict://127.0.0.1:6379/SAVE", "sftp://example.com:11111/",
    "ftp://example.com/", "tftp://example.com:12346/x", "ldap://localhost:11211/%0astats", "gopher://127.0.0.1:25/_x",
    "netdoc:///etc/passwd", "jar:http://127.0.0.1!/", "0://evil.com:80;http://google.com:80/", "javascript:alert(1)",
    "//example.com/", "example.com", "", "http:/example.com", "http:example.com", "http://", "http:///x", "ws://example.com/",
    "HTTP", "data:text/plain,x",
)  # fmt: skip
MALFORMED = (
    "http://localhost:+11211aaa", "http://localhost:00011211aaaa", "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "http://127.1.1.1:80\\@127.2.2.2:80/", "http://127.1.1.1:80\\@@127.2.2.2:80/", "http://127.1.1.1:80:\\@@127.2.2.2:80/",
    "http://127.1.1.1:80#\\@127.2.2.2:80/", "http://user@example.com/", "http://user:secret@example.com/",
    "http://example.com@127.0.0.1/", "http://:@example.com/", "http://example.com\r\nX: y/", "http://exa\tmple.com/",
    "http://example.com/\x00", "http://exa mple.com/", "http://[::1/", "http://::1/", "http://0000::1:80/", "http://256.1.1.1/",
    "http://1.2.3.4.5/", "http://o177.0.0.1/", "http://0o177.0.0.1/", "http://a.0x1/", "http://0x1ffffffff/",
    "http://09.0.0.1/", "http://example..com/", "http://-example.com/", "http://exa$mple.com/", "http://%31%32%37.0.0.1/",
    "http://example.com:0/", "http://example.com:65536/", "http://example.com:\u0668\u0660/", "http://" + "a" * 2_100 + "/",
    "http://" + "a." * 130 + "com/", "http://q177.0.0.1/", "http://\u0e51\u0e52\u0e57.\u0e50.\u0e50.\u0e51/", "http://8.8.8.8%25eth0/",
    "http://8.8.8.8%eth0/", "http://[2606:4700:4700::1111%25eth0]/", "http://[v1.a]/", "http://[8.8.8.8]/", "http://[example.com]/",
    "http://[2606:4700:4700::1111].example.com/", "http://[2606:4700:4700::1111]x/", "http://a[2606:4700:4700::1111]/",
    "http://example.com:80:80/", "http://example.com/\u3000", "http://exa\u2003mple.com/", "http://evil$google.com/",
    "http://\ud800.example/", "http://exa\u00admple.com/", "http://exa\u200bmple.com/", "http://exa\ufeffmple.com/",
)  # fmt: skip
REFUSED = (*LOOPBACK, *PRIVATE, *METADATA, *SPECIAL, *PORTS, *SCHEMES, *MALFORMED)
NAMES = {
    "http://localtest.me/": "127.0.0.1", "http://customer1.app.localhost.my.company.127.0.0.1.nip.io/": "127.0.0.1",
    "http://spoofed.burpcollaborator.net/": "127.0.0.1", "http://bugbounty.dod.network/": "127.0.0.2",
    "http://metadata.google.internal/": "169.254.169.254", "http://instance-data/": "169.254.169.254",
    "http://six.example/": "::1", "http://mapped.example/": "::ffff:127.0.0.1", "http://zone.example/": "fe80::1%1",
    "http://private.example/": "10.0.0.7", "http://mail.ebc.apple.com/": "127.0.0.6",
    "http://169.254.169.254.nip.io/": "169.254.169.254",
    "http://make-1.2.3.4-rebind-169.254-169.254-rr.1u.ms/": "169.254.169.254", "http://metadata/": "169.254.169.254",
    "http://localhost.localdomain/": "127.0.0.1", "http://ip6-localhost/": "::1", "http://wireserver.example/": "168.63.129.16",
    "http://nat64.example/": "64:ff9b::a9fe:a9fe", "http://sixtofour.example/": "2002:7f00:1::",
}  # fmt: skip
"""Names, and what they are resolved to: they are known when a connection is made."""
