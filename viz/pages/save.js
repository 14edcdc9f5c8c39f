// Saves a file of the visitor's, without a temporary file on the server. A schedule comes as it is;
// anything else as {name, type, text or base64}, and an SVG with `raster` becomes a PNG here.
(given) => {
  if (!given) return;
  const named = JSON.parse(given);
  const file = named.name === undefined ? {name: "schedule.json", text: given} : named;
  const give = blob => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);  // Safari asks first, then reads it
  };
  if (file.base64) {
    const bytes = Uint8Array.from(atob(file.base64), c => c.charCodeAt(0));
    return give(new Blob([bytes], {type: file.type}));
  }
  if (!file.raster) return give(new Blob([file.text], {type: file.type || "text/plain"}));
  const image = new Image(), address = URL.createObjectURL(new Blob([file.text], {type: "image/svg+xml"}));
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth * file.raster;
    canvas.height = image.naturalHeight * file.raster;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => blob && give(blob), "image/png");
    URL.revokeObjectURL(address);
  };
  image.src = address;
}
