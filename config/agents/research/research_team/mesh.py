"""The team as agents of their own, which talk over the mesh: a lead asks each of the three."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from sparkplug.agents import Context, action

from . import words
from .documents import Documents
from .result import Citation, Research, Tokens, Verdict, cited, judged
from .thinking import think

_MEMBER_S = 300.0


class Notes(BaseModel):
    """What the researcher hands on."""

    notes: str
    tokens: Tokens


class Brief(BaseModel):
    """What the writer hands on."""

    brief: str
    tokens: Tokens


class Review(BaseModel):
    """What the reviewer hands on."""

    verdict: Verdict
    citations: list[Citation]
    tokens: Tokens


class Researcher:
    """Takes notes from a folder of documents."""

    @action
    async def research(self, ctx: Context, folder: str, question: str) -> Notes:
        """Notes on a question, each with its [file:line]."""
        documents = await asyncio.to_thread(Documents, folder)
        passages = await asyncio.to_thread(documents.told, question)
        notes, used = await think(ctx, words.RESEARCHER, words.research(question, passages))
        return Notes(notes=notes, tokens=used)


class Writer:
    """Writes a brief from notes."""

    @action
    async def write(self, ctx: Context, question: str, notes: str) -> Brief:
        """A brief that keeps the places of the notes."""
        brief, used = await think(ctx, words.WRITER, words.write(question, notes))
        return Brief(brief=brief, tokens=used)


class Reviewer:
    """Says whether a brief holds."""

    @action
    async def review(
        self, ctx: Context, folder: str, question: str, notes: str, brief: str
    ) -> Review:
        """A verdict on a brief, its citations checked against the documents."""
        documents = await asyncio.to_thread(Documents, folder)
        citations, problems = cited(brief, documents)
        asked = words.review(question, notes, brief, problems)
        said, used = await think(ctx, words.REVIEWER, asked)
        return Review(verdict=judged(said, problems), citations=citations, tokens=used)


class Lead:
    """Asks the three in turn, wherever on the mesh they are."""

    @action
    async def brief(self, ctx: Context, folder: str, question: str) -> Research:
        """Research a question in a folder of documents."""
        await ctx.progress("asks research-researcher")
        taken = Notes.model_validate(
            await ctx.ask(
                "research-researcher",
                action="research",
                timeout=_MEMBER_S,
                folder=folder,
                question=question,
            )
        )
        await ctx.progress("asks research-writer")
        written = Brief.model_validate(
            await ctx.ask(
                "research-writer",
                action="write",
                timeout=_MEMBER_S,
                question=question,
                notes=taken.notes,
            )
        )
        await ctx.progress("asks research-reviewer")
        reviewed = Review.model_validate(
            await ctx.ask(
                "research-reviewer",
                action="review",
                timeout=_MEMBER_S,
                folder=folder,
                question=question,
                notes=taken.notes,
                brief=written.brief,
            )
        )
        return Research(
            team="mesh",
            question=question,
            notes=taken.notes,
            brief=written.brief,
            citations=reviewed.citations,
            verdict=reviewed.verdict,
            tokens=taken.tokens + written.tokens + reviewed.tokens,
        )
