// The page of the models: a card for each, by its task; unknown tasks get a card from their description.

import { make } from "./elements.js";
import { askForToken } from "./entry.js";
import { models } from "./service.js";
import { anyCard } from "./cards/any.js";
import { dnaCard } from "./cards/dna.js";
import { languageCard } from "./cards/language.js";
import { musicCard } from "./cards/music.js";
import { namesCard } from "./cards/names.js";
import { sentimentCard } from "./cards/sentiment.js";
import { speechCard } from "./cards/speech.js";
import { translationCard } from "./cards/translation.js";
import { videoCard } from "./cards/video.js";

const CARDS = {
  speech: ["Speech", speechCard],
  music: ["Music", musicCard],
  sentiment: ["Sentiment", sentimentCard],
  ner: ["Names", namesCard],
  translation: ["Translation", translationCard],
  video: ["Video", videoCard],
  dna: ["DNA", dnaCard],
  language: ["Language", languageCard],
};
const ORDER = Object.keys(CARDS);

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const rank = (model) => (ORDER.includes(model.task) ? ORDER.indexOf(model.task) : ORDER.length);

async function show() {
  const all = await models();
  const several = (task) => all.filter((each) => each.task === task).length > 1;
  const grid = document.getElementById("cards");
  const jump = document.getElementById("jump");
  for (const model of all.sort((a, b) => rank(a) - rank(b))) {
    const [known, build] = CARDS[model.task] ?? [capital(model.task), anyCard];
    const title = several(model.task) ? `${known}: ${model.name}` : known;
    const card = build(model, title, `${capital(model.title)}.`);
    grid.append(card.root);
    jump.append(make("a", { href: `#${card.root.id}`, text: title }));
  }
}

askForToken(document.getElementById("entry"), show);
