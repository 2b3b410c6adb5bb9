//! A user of a new cloud with all services, from the first image to the last deletion:
//! what docs/guide/first-vm.md tells, typed on a controller with the stock client, and
//! looked at from where it must be seen: the hypervisor, and a real browser.
//!
//! Not for what becomes of it when hosts are lost; that is the story of eight services.

use std::time::Duration;

use crate::cloud::Cloud;
use crate::guide::{blocks, compare, folder_of_the_repository};
use crate::said::{Said, tell, until};

const PAGE: &str = "first-vm.md";
/// What the machine is made of, and a browser with what drives it.
const WITH: [&str; 5] = [
    "busybox-static",
    "chromium",
    "chromium-driver",
    "linux-image-cloud-amd64",
    "python3-selenium",
];
/// Where the page's network outside is, and where it is here.
const OUTSIDE: (&str, &str) = ("198.18.1.", "198.18.72.");

/// A controller that keeps objects too, and a host that runs VMs.
fn describe(cloud: &Cloud) {
    let text = format!(
        "cloud: {}\nrelease: \"2025.1\"\nhosts:\n  \
         c1: {{ role: controller, address: 198.18.71.11, addresses: {{ provider: 198.18.72.11 }} }}\n  \
         n1: {{ role: compute, address: 198.18.71.21, addresses: {{ provider: 198.18.72.21 }} }}\nnetworks:\n  \
         management: {{ cidr: 198.18.71.0/24 }}\n  provider: {{ cidr: 198.18.72.0/24, use: tunnel }}\n\
         vips: {{ pool: 198.18.71.100-198.18.71.119 }}\nfencing: {{ none: one controller }}\n\
         services: [keystone, placement, swift, glance, nova, neutron, cinder, heat, horizon]\n\
         settings:\n  ovn: {{ datapath: netdev, provider-nic: eth1 }}\n  \
         cinder: {{ backend: nfs, nfs-host: 198.18.71.5, nfs-path: /volumes }}\n  swift: {{ replicas: \"1\" }}\n",
        cloud.name
    );
    fs_err::write(cloud.file(), text).unwrap();
}

/// Logs in with a browser that trusts the cloud's authority and nothing else of it, and
/// opens the pages of who has logged in. What the browser itself complains of is told.
const BROWSER: &str = r#"set -e; . /root/openrc; export HOME=/tmp/browser OS_PASSWORD
mkdir -p "$HOME" /etc/chromium/policies/managed
# The authority's certificate as browsers are given it by whoever manages them.
printf '{"CACertificates": ["%s"]}\n' "$(sed '/-----/d' "$OS_CACERT" | tr -d '\n')" \
    > /etc/chromium/policies/managed/cloud.json
exec python3 - "$@" <<'END'
import os, sys
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

site, name, console = sys.argv[1:]
options = webdriver.ChromeOptions()
# Root has no sandbox, and containers have a small /dev/shm.
for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
    options.add_argument(word)
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
browser.set_page_load_timeout(120)
wait = WebDriverWait(browser, 120)
try:
    browser.get(f"https://{site}/")
    wait.until(lambda b: "/auth/login" in b.current_url)
    print("asked:", browser.title)
    browser.find_element(By.NAME, "username").send_keys("admin")
    browser.find_element(By.NAME, "password").send_keys(os.environ["OS_PASSWORD"])
    browser.find_element(By.CSS_SELECTOR, "form [type=submit]").click()
    wait.until(lambda b: "/auth/login" not in b.current_url)
    for page in ("instances", "volumes"):
        browser.get(f"https://{site}/project/{page}/")
        assert "/auth/login" not in browser.current_url, browser.current_url
        rows = browser.find_elements(By.CSS_SELECTOR, "table tbody tr")
        print(page, "of", browser.title + ":", *("[" + row.text.replace("\n", " ") + "]" for row in rows))
        styles = browser.execute_script("return document.styleSheets.length")
        assert styles > 0, "a page without its style sheets"
    browser.get(f"https://{site}/project/instances/")
    browser.find_element(By.LINK_TEXT, name).click()
    wait.until(lambda b: "/project/instances/" in b.current_url and name in b.title or name in b.page_source)
    # The console: what it shows is drawn by what came through the socket.
    browser.get(console)
    wait.until(lambda b: "Connected to" in b.find_element(By.ID, "status").text)
    wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "[id=screen] canvas").size["width"] > 100)
    wide = "const c = document.querySelector('[id=screen] canvas'); return [c.width, c.height]"
    print("console:", browser.find_element(By.ID, "status").text, browser.execute_script(wide))
    for entry in browser.get_log("browser"):
        # The package of the console's page has no icon for a browser's tab.
        if entry["level"] == "SEVERE" and "/favicon.ico" not in entry["message"]:
            print("complaint:", entry["message"])
finally:
    browser.quit()
END"#;

#[test]
#[ignore = "lab"]
fn long_a_user_works_end_to_end() {
    let cloud = Cloud::new("st-user", 71);
    describe(&cloud);
    cloud.up_with(&WITH.map(|package| ["--with", package]).concat());
    cloud.apply();

    let folder = folder_of_the_repository();
    let script = fs_err::read_to_string(folder.join("examples/tiny-image.sh")).unwrap();
    let place = r#"mkdir -p /root/story && cd /root/story && touch env && printf %s "$1" > tiny-image.sh"#;
    cloud
        .lab("shell", &["c1", "sh", "-c", place, "sh", &script])
        .good();
    let page = fs_err::read_to_string(folder.join("docs/guide").join(PAGE)).unwrap();
    let (work, end) = page.split_once("\n## Away with it\n").unwrap();

    follow(&cloud, work);
    attached(&cloud, true);
    looked_at(&cloud);
    follow(&cloud, end);
    attached(&cloud, false);
    nothing_left(&cloud);
    cloud.down();
}

/// Types what a part of the page says.
fn follow(cloud: &Cloud, part: &str) {
    let all = blocks(&part.replace(OUTSIDE.0, OUTSIDE.1));
    assert!(all.len() > 3, "{PAGE}: {} commands", all.len());
    for shown in all {
        let said = typed(cloud, &shown.command);
        tell(&format!(
            "{PAGE}: {} ({:.1} s)",
            shown.command.lines().next().unwrap(),
            said.took.as_secs_f64()
        ));
        compare(PAGE, &shown, &said);
    }
}

/// A command on the controller, in the shell of those before it.
fn typed(cloud: &Cloud, command: &str) -> Said {
    let script = r#"cd /root/story && . ./env && set -a && printf '%s\n' "$1" > command &&
        . ./command; e=$?; export -p > env; exit $e"#;
    cloud.lab(
        "shell",
        &["c1", "timeout", "400", "bash", "-c", script, "bash", command],
    )
}

/// Whether the host that runs the machine gives it the volume, by libvirt.
fn attached(cloud: &Cloud, wanted: bool) {
    let ask = "for d in $(virsh list --name); do virsh domblklist $d; done; ls -lR /srv/lab/nfs";
    let said = cloud.shell("n1", ask).good();
    tell(&format!("n1:\n{}", said.out));
    assert_eq!(said.out.contains("vdb"), wanted, "{said}");
    assert_eq!(said.out.contains("volume-"), wanted, "{said}");
}

/// The dashboard, in a browser.
fn looked_at(cloud: &Cloud) {
    let site = cloud.vip("horizon");
    let ask = ". /root/openrc; openstack console url show --novnc -f value -c url first";
    let console = cloud.shell("c1", ask).good().out;
    let words = ["c1", "sh", "-c", BROWSER, "sh", &site, "first", console.trim()];
    let said = cloud.lab("shell", &words).good();
    tell(&format!(
        "the dashboard in a browser ({:.1} s):\n{}",
        said.took.as_secs_f64(),
        said.out
    ));
    for words in [
        "instances of Instances",
        "[first ",
        "volumes of Volumes",
        "[data ",
        "console: Connected to ",
    ] {
        assert!(said.out.contains(words), "no {words:?} in {said}");
    }
    assert!(!said.out.contains("complaint: "), "{said}");
}

/// What a user makes is gone, and no service keeps a part of it.
fn nothing_left(cloud: &Cloud) {
    let ask = ". /root/openrc
for what in server volume stack network router image flavor 'floating ip' port; do
    openstack $what list -f value | sed \"s/^/$what: /\"
done";
    until("all to be gone", Duration::from_mins(1), || {
        let said = cloud.shell("c1", ask).good();
        if said.out.trim().is_empty() {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
}
