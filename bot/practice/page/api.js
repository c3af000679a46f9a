// Talking to the practice server.

/** Reads JSON; throws an Error whose message can be shown to the person. */
export async function get(path, query = {}) {
  return answer(await reach(`${path}?${new URLSearchParams(query)}`, {}));
}

/** Sends JSON and gives the answer, which may be a refusal: `{ok: false, error}`. */
export async function post(path, body) {
  const response = await reach(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  try {
    return await response.json();
  } catch {
    return { ok: false, error: `The practice server answered ${response.status}.` };
  }
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("The practice server cannot be reached.");
  }
}

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok || body.ok === false) {
    throw new Error(body.error ?? `The practice server answered ${response.status}.`);
  }
  return body;
}
