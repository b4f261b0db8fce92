"""Nothing is called but what a person configured: addresses are looked at before any connection."""

import httpx
import pytest

from adapters.notify.guarded import GuardedClient, NothingSent

PUBLIC = "https://whatsapp.example.com"
INSIDE = [
    "127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.5", "172.16.3.4",  # noqa: S104 - not bound
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "fe80::1%eth0", "fc00::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "224.0.0.1", "ff02::1",
]  # fmt: skip


class Names:
    """A resolver whose answers are given; the last one is given for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def refused(url: str, names: Names, *, private: bool = False) -> str:
    client = GuardedClient(url, resolve=names, is_private_allowed=private, timeout_s=0.05)
    with pytest.raises(NothingSent) as fault:
        await client.post("/x", {})
    await client.close()
    return str(fault.value)


@pytest.mark.parametrize("address", INSIDE)
async def test_a_public_name_that_leads_inside_is_not_called(address: str) -> None:
    assert "is not called" in await refused(PUBLIC, Names([address]))
    assert "is not called" in await refused(PUBLIC, Names(["93.184.216.34", address]))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "224.0.0.1", INSIDE[2]])
async def test_a_private_network_is_no_leave_to_call_this_machine_or_its_provider(address: str) -> None:
    assert "is not called" in await refused("http://wuzapi:8080", Names([address]), private=True)


async def test_a_local_address_leads_nowhere_else() -> None:
    assert "is not called" in await refused("http://localhost:8080", Names(["10.0.0.5"]))


async def test_every_call_looks_anew_so_that_a_name_that_changes_gains_nothing() -> None:
    names = Names(["10.0.0.1"], ["10.0.0.2"])
    client = GuardedClient(PUBLIC, resolve=names)
    for expected in ("10.0.0.1", "10.0.0.2"):
        with pytest.raises(NothingSent, match=expected):
            await client.post("/x", {})
    await client.close()
    assert names.asked == 2


async def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    client = GuardedClient(f"{PUBLIC}:8443/base/")
    request = client._request("93.184.216.34", "/chat/send/text", b"", {}, httpx.Timeout(1))
    await client.close()
    assert str(request.url) == "https://93.184.216.34:8443/base/chat/send/text"
    assert request.headers["Host"] == "whatsapp.example.com:8443"
    assert request.extensions["sni_hostname"] == "whatsapp.example.com"


async def test_a_name_without_an_address_is_told() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    client = GuardedClient(PUBLIC, resolve=unknown)
    with pytest.raises(NothingSent, match="has no address"):
        await client.post("/x", {})
    await client.close()
    assert "has no address" in await refused(PUBLIC, Names([]))
