// The service: its requests and streams, and its refusals as sentences.

const KEY = "elman-token";

export class ServiceError extends Error {
  constructor(sentence, status) {
    // a sentence may also begin with a name, such as "a film.mp4: …", which stays as it is
    super(/^(the|this|there|a|no|other|too) (?![^,:]*\.\w+[,:])/.test(sentence) ? sentence.charAt(0).toUpperCase() + sentence.slice(1) : sentence);
    this.status = status;
  }
}

// A token stands behind the # of an address that `elman serve --open` opens: it is not sent anywhere.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname);
}

export function setToken(token) {
  sessionStorage.setItem(KEY, token);
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("the service does not answer; check that elman serve still runs.", 0);
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new ServiceError(`the service answered with the status ${response.status}.`, response.status);
  }
  if (!response.ok) throw new ServiceError(body.error ?? "the request was refused.", response.status);
  return body;
}

export const models = async () => (await request("/v1")).models;

const address = (model, what) =>
  `/v1/${encodeURIComponent(model.task)}/${what}?model=${encodeURIComponent(model.name)}`;

export async function predict(model, inputs, options = {}, signal = undefined) {
  const body = await request(address(model, "predict"), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs, options }),
    signal,
  });
  return body.predictions;
}

export async function predictFiles(model, files, options = {}, signal = undefined) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  form.append("options", JSON.stringify(options));
  const body = await request(address(model, "predict"), { method: "POST", body: form, signal });
  for (const each of body.predictions) if (each.error) throw new ServiceError(each.error, 422);
  return body.predictions;
}

export const cellCatalogue = () => request("/v1/cell");

export const examineCell = (experiment, equations, options, signal = undefined) =>
  request(`/v1/cell/${experiment}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ equations, options }),
    signal,
  });

export async function sample(model, number) {
  const path = `/page/samples/${encodeURIComponent(model.task)}/${number}`;
  const response = await fetch(path);
  if (!response.ok) throw new ServiceError("the sample cannot be loaded.", response.status);
  return new File([await response.blob()], model.samples[number], { type: response.headers.get("content-type") });
}

// A stream. `record` is called with each object, `ended` once, with a ServiceError if it failed.
export function stream(model, options, { record, ended }) {
  const token = sessionStorage.getItem(KEY);
  const place = new URL(address(model, "stream"), location.href);
  place.protocol = place.protocol.replace("http", "ws");
  if (token) place.searchParams.set("token", token);
  const socket = new WebSocket(place);
  socket.binaryType = "arraybuffer";
  let over = false;
  let opened = false;
  const waiting = [JSON.stringify({ options })];
  const finish = (error) => {
    if (over) return;
    over = true;
    ended(error);
  };
  const send = (message) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(message);
    else if (socket.readyState === WebSocket.CONNECTING) waiting.push(message);
  };
  socket.onopen = () => {
    opened = true;
    for (const message of waiting) socket.send(message);
  };
  socket.onmessage = (event) => {
    const found = JSON.parse(event.data);
    if (found.error) finish(new ServiceError(found.error, 0));
    else if (found.type === "end") finish();
    else if (!over) record(found);
  };
  socket.onclose = () =>
    finish(
      new ServiceError(
        opened ? "the stream broke off." : "the stream cannot be opened; check that elman serve still runs, or try again later.", 0),
    );
  return {
    send,
    end: () => send('{"end": true}'),
    close: () => {
      over = true;
      socket.close();
    },
    get waiting() {
      return socket.bufferedAmount;
    },
  };
}
