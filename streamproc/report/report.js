const box = document.getElementById("filter");
if (box) {
  const rows = Array.from(document.querySelectorAll("#events tbody tr"));
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}
