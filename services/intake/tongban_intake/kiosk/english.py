"""Hold the English of the texts in the templates, by their Chinese text. A test checks that none is
missing and that none is there in vain."""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    # Frame
    "跳到正文": "Skip to the content",
    "通办": "Tongban",
    "智慧政务一体机": "Government services kiosk",
    "网点 {branch}": "Branch {branch}",
    "终端 {kiosk}": "Kiosk {kiosk}",
    "大堂经理<b>{name}</b>陪同中": "Lobby manager <b>{name}</b> is with you",
    "退出登录": "Sign out",
    "返回首页": "Home",
    "不会操作？请找身边的<b>大堂经理</b>，可以陪您一起办。": (
        "Not sure how? Ask the <b>lobby manager</b> near you, who can do it with you."
    ),
    "请大堂经理过来": "Call the lobby manager",
    "已经通知大堂经理，请在这里稍等。": "The lobby manager has been called. Please wait here.",
    "不用过来了": "No longer needed",
    "暂时通知不到大堂经理，请再按一次，或到柜台询问。": (
        "The lobby manager cannot be called for the moment. Press once more, or ask at the counter."
    ),
    "大堂经理登录": "Lobby manager: sign in",
    "您的证件信息加密传输，办完请记得取走身份证和材料。": (
        "Your documents' data is encrypted. Please take your ID card and papers with you."
    ),
    "显示方式": "How pages are shown",
    "大字版": "Large type",
    "标准版": "Ordinary type",
    "朗读": "Read aloud",
    "您还在吗？": "Are you still there?",
    '<b id="idle-left">15</b> 秒后返回首页，填写的内容会清除。': (
        'In <b id="idle-left">15</b> seconds this page returns home, and what was typed is erased.'
    ),
    "我还在，继续办理": "I am here, go on",
    "网络暂时断开，正在重新连接。您填写的内容都还在，请稍等。": (
        "The connection is lost for the moment, and is being made again. What you have typed is"
        " kept. Please wait."
    ),
    "网络暂时断开，连上后回到首页。": (
        "The connection is lost for the moment. When it is back, this page returns home."
    ),
    "网络暂时断开，连上后会自动提交，只办理一次。您填写的内容都还在，请稍等。": (
        "The connection is lost for the moment. Your request is submitted as soon as it is back,"
        " and once only. What you have typed is kept. Please wait."
    ),
    # Printer in trouble
    "哪里可以打印": "Where you can print",
    "您的事可以照常在这里办，需要打印时去下面的地方。": (
        "You can do everything here as usual, and print at one of these places."
    ),
    "就在这里": "Here",
    "附近网点": "Branches near here",
    "约 {km} 公里": "about {km} km",
    "{count} 台可以打印": "{count} kiosks can print",
    "请问大堂经理，附近哪里可以打印。": (
        "Please ask the lobby manager where you can print near here."
    ),
    "本机现在不能打印：{why}。": "This kiosk cannot print now: {why}.",
    "可以照常办理，恢复后会自动打印。": "You can go on; it prints as soon as it can again.",
    "看看哪里可以打印": "Where you can print",
    # Desk of the lobby manager
    "网点工作台": "Branch desk",
    "本网点的终端、等着的办件和要您回答的问题。有人请您过去时，这里会响铃。": (
        "The kiosks of this branch, what waits, and questions for you to answer. It rings here when"
        " somebody asks you to come."
    ),
    "请您过去帮忙": "Somebody needs your help",
    "我这就过去": "I am coming",
    "办件暂时读不出来，请稍后刷新。终端的情况是最新的。": (
        "Requests cannot be read now; refresh in a moment. What is said of kiosks is up to date."
    ),
    "终端": "Kiosks",
    "没有发现打印故障": "no printer trouble known",
    "就是这台": "this one",
    "{count} 份等着打印": "sheets that wait: {count}",
    "请您回答：纸出来了吗？": "For you to answer: did the sheet come out?",
    "等着打印": "Sheets that wait",
    "终端 {kiosk}：{why}": "Kiosk {kiosk}: {why}",
    "正在打印": "printing",
    "还没有办完": "Requests in progress",
    "没有等着的办件。": "Nothing waits.",
    "只看了最近的办件，更早的请按办件编号查。": (
        "Only the newest requests are shown; look up older ones by their number."
    ),
    "刷新": "Refresh",
    "{moment} 起": "since {moment}",
    # Touch keyboard
    "屏幕键盘": "Keyboard on the screen",
    "屏幕键盘已打开": "A keyboard has opened on the screen",
    "下一项": "Next field",
    "完成": "Finish",
    "收起": "Close",
    "空格": "Space",
    "大写": "Capitals",
    "拼音": "Pinyin",
    "隔开": "Separate",
    "更多": "More",
    "用拼音打字，在这里选汉字": "Type pinyin, and choose the Chinese here",
    # Home
    "首页": "Home page",
    "您要办什么事？": "What do you want to do?",
    "搜索事项": "Search services",
    "例如：社保缴费证明": "For example: 社保缴费证明",
    "搜索": "Search",
    "专区": "Zone",
    "{count} 项": "{count} services",
    "大家常办": "Often used",
    "{count} 个省份": "{count} provinces",
    "按领域找": "By subject",
    "按省份找": "By province",
    # Lists
    "找事项": "Find a service",
    "输入事项名称": "Name of the service",
    "筛选": "Filters",
    "全部": "All",
    "类型": "Kind",
    "领域": "Subject",
    "省份": "Province",
    "更多筛选": "More filters",
    "找到 {count} 项": "{count} found",
    "可打印": "can be printed",
    "没有找到相关事项": "Nothing was found",
    "换个说法试试，例如“社保”“公积金”“证明”，或请大堂经理帮忙。": (
        "Try other words, for example “社保”, “公积金” or “证明”, or ask the lobby manager."
    ),
    "还没有找到，请接着打字": "Nothing found yet, please type on",
    "看全部 {count} 项": "Show all {count}",
    "看全部事项": "Show all services",
    "翻页": "Pages",
    "上一页": "Previous page",
    "下一页": "Next page",
    "第 {page} 页，共 {last} 页": "Page {page} of {last}",
    # Form
    "承诺 {days} 个工作日": "Promised in {days} working days",
    "即时办结": "Done at once",
    "可当场打印": "Can be printed here",
    "填写": "Fill in",
    "核对": "Check",
    "办理": "Submit",
    "有 {count} 处需要修改": "{count} entries need a correction",
    "请看下面标红的地方，改好后再按“下一步”。": (
        "Please look at what is marked in red below, correct it, and press “Next”."
    ),
    "填入示例": "Fill in an example",
    "第一次用？先看看填好的样子。": "First time? See what a filled-in form looks like.",
    "请准备": "Please have ready",
    "谁来办": "Who applies",
    "个人办理": "A person",
    "单位办理": "A company",
    "经办人": "Who acts for the company",
    "办理内容": "Details",
    "其他": "Other",
    "办结后在本机打印": "Print here when it is done",
    "大堂经理陪同办理": "A lobby manager helps me",
    "大堂经理 <b>{name}</b> 已登录": "Lobby manager <b>{name}</b> has signed in",
    "或填写大堂经理工号": "Or type the lobby manager's number",
    "请大堂经理先登录": "The lobby manager has to sign in first",
    "不办了": "Cancel",
    "下一步": "Next",
    "上一题": "Back",
    "第 {now} 项，共 {all} 项": "{now} of {all}",
    "请选择": "Please choose",
    "必填": "required",
    "选填": "optional",
    # Confirmation
    "请核对一遍": "Please check it once more",
    "打印": "Print",
    "不打印": "Do not print",
    "陪同办理": "Helped by",
    "大堂经理 {name}": "Lobby manager {name}",
    "费用": "Fee",
    "返回修改": "Change it",
    "确认提交": "Submit",
    # Sign-in, login, proof
    "登录以后，可以在这台终端陪同办理，办件上会记下您的工号。": (
        "After signing in you can help at this kiosk; your number is noted on the requests."
    ),
    "没有登录成功": "Not signed in",
    "（{seconds} 秒后可以再试）": " (try again in {seconds} seconds)",
    "工号": "Number",
    "密码": "PIN",
    "清空": "Clear",
    "退格": "Delete",
    "返回填写": "Back to the form",
    "登录": "Sign in",
    "终端登录": "Kiosk login",
    "由终端的登录程序提交令牌。": "The kiosk's login program submits the token.",
    "终端令牌": "Kiosk token",
    "核实申请人": "Proof of the applicant",
    "请先核实申请人": "Please show that this is your request",
    "为了保护个人信息，请填写申请人证件号码和手机号码的最后 {tail} 位（企业办件填经办人的）。": (
        "To protect personal data, type the last {tail} characters of the applicant's document"
        " number and mobile number (for a company, of the person who acted for it)."
    ),
    "没有通过核实": "This does not match",
    "证件号码最后 {tail} 位": "Last {tail} characters of the document number",
    "手机号码最后 {tail} 位": "Last {tail} digits of the mobile number",
    "查看办件": "Show the request",
    # Request
    "办理进度": "Progress",
    "办件编号": "Request number",
    "您的事已经办好了。": "It is done.",
    "已经收到，正在送往办理省份。": "Received, and on its way to the province.",
    "已送出，正在等待省级平台回复。": "Sent; the province has not answered yet.",
    "请稍候，有结果会短信通知您，也可以先离开。": (
        "Please wait. A text message will tell you the result; you may also leave."
    ),
    "进度数据稍有延迟，不影响办理。": ("What is shown here is a little late; your request is not."),
    "预计 {at} 前有结果": "A result is expected by {at}",
    "看看那一件": "Show that request",
    "第 {number} 份": "Copy {number}",
    "纸出来了": "The sheet came out",
    "没有出来": "It did not",
    "共 {count} 页": "{count} pages",
    "打开材料": "Open the document",
    "全屏查看": "Full screen",
    "退出全屏": "Leave full screen",
    "再打印一份": "Print another copy",
    "办理结果": "Result",
    "编号": "Number of the result",
    "办理单位": "Issued by",
    "补充材料": "Supplement",
    "请按上面的要求填写，只填需要补充的内容。": (
        "Please fill in what is asked for above, and only that."
    ),
    "补充说明": "Remark",
    "提交补充": "Send the supplement",
    "办理过程": "What has happened",
    "已提交": "Submitted",
    "短信已发送到您的手机": "A text message was sent to your phone",
    "短信未能送达，请留意办理进度": "The text message could not be delivered; please look here",
    "按您的设置未发短信": "No text message, as you have wished",
    "短信稍后发送": "A text message will follow",
    "邮件通知：{status}": "E-mail: {status}",
    "这次服务您满意吗？": "Are you satisfied?",
    "想说的话": "Your words",
    "请不要填写姓名和证件号码": "Please no names or document numbers",
    "提交评价": "Send",
    "感谢您的评价：{grade}": "Thank you for your rating: {grade}",
    "撤回办件": "Withdraw the request",
    "事项名称、材料和填写说明以省级平台的中文原文为准。": (
        "Names of services, papers and hints are shown in the provinces' own Chinese words."
    ),
}
