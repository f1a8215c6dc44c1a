// What the file holds compressed: base64 of zlib's format, unpacked when it is first asked for.
const packed = (() => {
  const asked = new Map();

  const unpack = async (name) => {
    const text = atob(document.getElementById(`blob-${name}`).textContent);
    const bytes = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place += 1) bytes[place] = text.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  const bytes = (name) => {
    if (!asked.has(name)) asked.set(name, unpack(name));
    return asked.get(name);
  };
  const text = async (name) => new TextDecoder().decode(await bytes(name));
  return { bytes, text, facts: JSON.parse(document.getElementById("facts").textContent) };
})();
