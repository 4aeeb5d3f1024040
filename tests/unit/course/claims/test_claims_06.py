"""Notebook 06: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("06")


def test_anybody_may_ask() -> None:
    NB.says("Expect status 200: the default lets everyone in.")
    assert NB.lines("06-03") == ["status 200"]


def test_stranger_and_chat_are_both_locked_out() -> None:
    NB.says("The stranger is locked out, as intended. But so is the chat, which we named!")
    assert NB.lines("06-09") == ["no identity: 403", "the chat: 403"]


def test_the_caller_is_the_gateway() -> None:
    NB.says("It is `linkerd-gateway`.")
    assert "linkerd-gateway.linkerd-multicluster" in NB.text("06-11") and "chat.shop" not in NB.text("06-11")


def test_one_of_four_answers_is_403() -> None:
    NB.says("**Predict the four answers.** Only one of them is 403.")
    NB.says("Through the gateway the visitor gets in")
    assert NB.lines("06-17") == [
        "model-server-gpu: the chat 200, the visitor 200",
        "model-server-flat-gpu: the chat 200, the visitor 403",
    ]


def test_the_stolen_token_opens_nothing() -> None:
    NB.says("It also puts the chat's identity into the header that the mesh uses to tell a server who is calling. Expect 403.")
    assert NB.lines("06-19") == ["403"]


def test_a_tenant_is_cut_off_and_let_in_again() -> None:
    NB.says("We limit it to the identities of `shop`, and then open it to everybody again.")
    assert NB.lines("06-21") == ["only shop: the chat 200, the visitor 403", "everybody: the chat 200, the visitor 200"]


def test_requests_fail_while_the_policy_is_missing_and_no_longer() -> None:
    NB.says("Requests fail for the three seconds without the policy and for no longer.")
    NB.says("A policy change takes effect within a fraction of a second, in both directions")
    row, felt = NB.table("06-23").iloc[0], NB.table("06-24")
    assert 15 < row["errors %"] < 60 and felt.loc["failed", "max"] < 1 < felt.loc["answered", "min"]
    assert 3 <= NB.shaded("06-24")["no policy"] <= 5
